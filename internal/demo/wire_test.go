package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary play the parts, as the product's does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "demo-part" {
		if err := Part(context.Background(), os.Args[2:], os.Stdin, os.Stdout, os.Stderr); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestServeOrders(t *testing.T) {
	in := strings.Join([]string{
		`{"do":"call","tool":"read","arguments":{"patient":"P1"}}`,
		`{"do":"fail"}`,
		`{"do":"call","surprise":1}`,
		`{"do":"call"} {"do":"call"}`,
		`not JSON`,
		`{"do":"last"}`,
	}, "\n")
	var out bytes.Buffer
	var done []string
	err := serveOrders(t.Context(), strings.NewReader(in), &out, func(_ context.Context, o order) (answer, error) {
		done = append(done, o.Do)
		if o.Do == "fail" {
			return answer{Tools: []string{"not sent"}}, errors.New("it did not work")
		}
		return answer{Mission: "m:" + o.Do + o.Tool}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(done, " "); got != "call fail last" {
		t.Errorf("carried out %q; lines that do not parse must not be", got)
	}
	want := []string{`{"mission":"m:callread"}`, `{"error":"it did not work"}`, `unknown field`, `behind its object`, `does not parse`, `{"mission":"m:last"}`}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d answers to %d orders:\n%s", len(lines), len(want), out.String())
	}
	for i, w := range want {
		if !strings.Contains(lines[i], w) {
			t.Errorf("answer %d is %s, want %s", i, lines[i], w)
		}
	}
}

func TestServeOrdersEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := serveOrders(ctx, strings.NewReader("{\"do\":\"a\"}\n{\"do\":\"b\"}\n"), &bytes.Buffer{}, func(context.Context, order) (answer, error) {
		cancel()
		return answer{}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("went on after its context: %v", err)
	}
	long := `{"do":"` + strings.Repeat("x", maxLine) + `"}`
	if err := serveOrders(t.Context(), strings.NewReader(long), &bytes.Buffer{}, nil); err == nil {
		t.Error("took a line that is longer than the bound")
	}
}

func TestPart(t *testing.T) {
	for _, args := range [][]string{nil, {"assistant"}, {"records", "x"}, {"sub-agent", "x"}, {"nobody"}} {
		if err := Part(t.Context(), args, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%q played a part", args)
		}
	}
}

// The parts hold still until they are told what to do, refuse what is not theirs,
// and end with their input.
func TestPeer(t *testing.T) {
	dir := t.TempDir()
	p := part(t, newProcess("assistant", dir, os.Args[0], "demo-part", "assistant", os.Args[0], dir))
	if p.hello.PID != p.cmd.Process.Pid || !strings.Contains(string(p.hello.Key), `"P-256"`) || strings.Contains(string(p.hello.Key), `"d"`) {
		t.Errorf("hello %+v", p.hello)
	}
	for _, o := range []order{{Do: "call", Tool: "read"}, {Do: "delegate", Tool: "read"}, {Do: "offer"}, {Do: "call", To: "sub-agent"}, {Do: "take", Statement: "x"}} {
		if _, err := p.ask(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "assistant: ") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	p.stop(grace)
	if p.err != nil {
		t.Errorf("it ended with %v", p.err)
	}
	if _, err := p.ask(t.Context(), order{Do: "call"}); err == nil {
		t.Error("an assistant that is gone answered")
	}

	s := part(t, newProcess("sub-agent", dir, os.Args[0], "demo-part", "sub-agent"))
	a, err := s.ask(t.Context(), order{Do: "offer", Issuer: "http://127.0.0.1:1"})
	if err != nil || a.Offer == nil || !strings.HasPrefix(a.Offer.ID, "agt_") || a.Offer.Actor == "" {
		t.Errorf("offer %+v, %v", a.Offer, err)
	}
	if _, err := s.ask(t.Context(), order{Do: "accept"}); err == nil {
		t.Error("accepted nothing")
	}
}

func TestPeerDies(t *testing.T) {
	dir := t.TempDir()
	_, err := engage(t.Context(), newProcess("records", dir, os.Args[0], "demo-part", "records", filepath.Join(dir, "none"), "none"))
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("the error does not say what the process wrote: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := part(t, newProcess("sub-agent", dir, os.Args[0], "demo-part", "sub-agent"))
	cancel()
	if _, err := p.ask(ctx, order{Do: "offer"}); !errors.Is(err, context.Canceled) {
		t.Errorf("asked under a context that is over: %v", err)
	}
	select {
	case <-p.gone:
	case <-time.After(5 * time.Second):
		t.Error("a part whose answer nobody waits for lives on")
	}
}

func part(t *testing.T, p *process) *peer {
	t.Helper()
	out, err := engage(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.stop(grace) })
	return out
}
