package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// Whatever comes out otherwise than the story says ends it, and the error says
// both.
func TestCallDiffers(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   want
		says   []string
	}{
		{`{"call":{"outcome":"allow","link":0,"took":1000}}`, deny(1, "ceiling"), []string{"the story says  DENY at link 1, ceiling", "it came to      ALLOW"}},
		{`{"call":{"outcome":"deny","link":2,"stage":"ceiling","reason":"outside","took":1}}`, deny(1, "ceiling"), []string{"DENY at link 1", "DENY at link 2", "outside"}},
		{`{"call":{"outcome":"deny","link":1,"stage":"mandate","took":1}}`, allow, []string{"story says  ALLOW", "DENY at link 1, mandate"}},
		{`{"call":{"outcome":"challenge","link":1,"stage":"ceiling","took":1}}`, deny(1, "ceiling"), []string{"CHALLENGE at link 1"}},
		{`{}`, allow, []string{"did not say what became of it"}},
		{`{"error":"the gateway is gone"}`, allow, []string{"the gateway is gone"}},
	} {
		p, out := scripted(c.answer)
		err := p.read(t.Context(), 4, "", "P2", "labs", c.want, time.Time{})
		for _, s := range c.says {
			if err == nil || !strings.Contains(err.Error(), s) {
				t.Errorf("%s, where the story says %s: %v; want %q in it", c.answer, c.want, err, s)
			}
		}
		if out.Len() > 0 || p.allowed+p.refused > 0 {
			t.Errorf("what did not happen was told: %s", out)
		}
	}
}

func TestCallDenied(t *testing.T) {
	p, out := scripted(`{"call":{"outcome":"deny","link":1,"stage":"ceiling","reason":"records.read of P2 is outside what was delegated: read on records","took":1250000}}`)
	if err := p.read(t.Context(), 4, "", "P2", "labs", deny(1, "ceiling"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if want := "  4  assistant → records.read P2/labs    DENY     link 1, assistant · ceiling: outside what was delegated   1.2 ms\n"; out.String() != want {
		t.Errorf("got  %q\nwant %q", out, want)
	}
}

// scripted is a plot whose assistant has its answers ready.
func scripted(answers string) (*plot, *bytes.Buffer) {
	out := &bytes.Buffer{}
	assistant := &peer{process: &process{name: "assistant"}, orders: json.NewEncoder(io.Discard), answers: bufio.NewScanner(strings.NewReader(answers))}
	return &plot{stage: &stage{assistant: assistant}, show: &show{out: out}}, out
}
