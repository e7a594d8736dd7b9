package mcp

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/jsonrpc"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
)

// token is an access token as far as this face reads one: its middle.
func token(client, hop, nonce string) string {
	claims := fmt.Sprintf(`{"client_id":%q,"dlg":{"id":%q},"jti":%q}`, client, hop, nonce)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// A spine is a fake with the behaviour of enforce.Spine that a face can see: it
// knows tokens of client "known", the server "records" and its tools, denies
// "delete", and keeps a record.
type spine struct {
	mu     sync.Mutex
	record []string
	// outcomes receives the status of every effect that ended.
	outcomes chan string
}

func (s *spine) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = append(s.record, fmt.Sprintf(format, args...))
}

// take returns the record so far and begins another.
func (s *spine) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.record
	s.record = nil
	return r
}

// wait returns the record once it has n lines: the answer of a call goes out
// before its outcome is recorded.
func (s *spine) wait(n int) (r []string) {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if r = append(r, s.take()...); len(r) >= n || time.Now().After(end) {
			return r
		}
	}
}

func (s *spine) identify(c enforce.Call) error {
	switch {
	case !strings.Contains(caller(c.Presented.Token), "known"):
		return credential.Refuse(credential.ErrInvalidToken, "the token does not verify")
	case c.Server == "stale":
		return fault.New(fault.Unavailable, "the facts are too old to decide on")
	case c.Server == "broken":
		return errors.New("disk on fire")
	case c.Server != "records":
		return fault.New(fault.NotFound, "there is no server %q", c.Server)
	}
	return nil
}

func (s *spine) deny(reason string) enforce.Decision {
	return enforce.Decision{Outcome: "deny", Entry: "ent_1", Revision: 7, Link: 1, Stage: "ceiling", Name: "agent assistant", Reason: reason}
}

func (s *spine) Act(ctx context.Context, c enforce.Call, effect enforce.Effect) (enforce.Decision, error) {
	if err := s.identify(c); err != nil {
		return enforce.Decision{}, err
	}
	note := fmt.Sprintf("act %s %s", c.Tool, c.Arguments)
	if c.Mission != "" {
		note += " " + string(c.Mission)
	}
	s.note("%s", note)
	if c.Tool == "delete" {
		return s.deny("records.delete is outside what was delegated"), nil
	}
	r, err := effect(ctx, enforce.Opened{})
	if f, ok := errors.AsType[*enforce.Failure](err); ok {
		if r.Status = "lost"; !f.Sent {
			r.Status = "unsent"
		}
	}
	if ctx.Err() != nil {
		r.Status = "not recorded"
	}
	s.note("outcome %s", r.Status)
	if s.outcomes != nil {
		s.outcomes <- r.Status
	}
	return enforce.Decision{Outcome: "allow", Entry: "ent_1"}, err
}

func (s *spine) Check(_ context.Context, c enforce.Call) (enforce.Decision, error) {
	if err := s.identify(c); err != nil {
		return enforce.Decision{}, err
	}
	s.note("check %s", c.Method)
	if strings.HasSuffix(caller(c.Presented.Token), `"ended"`) {
		return s.deny("the mission is over"), nil
	}
	return enforce.Decision{Outcome: "allow"}, nil
}

func (s *spine) Tools(_ context.Context, c enforce.Call) ([]mapping.Tool, enforce.Decision, error) {
	if err := s.identify(c); err != nil {
		return nil, enforce.Decision{}, err
	}
	s.note("tools")
	return []mapping.Tool{{Name: "read", Definition: json.RawMessage(`{"name":"read", "inputSchema":{"type":"object"}}`)},
		{Name: "write", Definition: json.RawMessage(`{ "name":"write"}`)}}, enforce.Decision{Outcome: "allow"}, nil
}

func (s *spine) Refuse(_ context.Context, c enforce.Call, reason string) (enforce.Decision, error) {
	if err := s.identify(c); err != nil {
		return enforce.Decision{}, err
	}
	what := c.Method
	if c.Tool != "" {
		what += " " + c.Tool
	}
	s.note("refuse %s: %s", what, reason)
	return s.deny(reason), nil
}

// An upstream is a fake server behind the gateway. Its tools: read says its
// params back; fail answers with an error; sick with isError; gone never answers;
// progress reports twice; wait waits for the end of its context or of release.
type upstream struct {
	started chan struct{}
	release chan struct{}
}

func (u *upstream) Tools(context.Context, enforce.Opened) ([]json.RawMessage, error) { return nil, nil }

func (u *upstream) Call(ctx context.Context, _ enforce.Opened, _ string, params json.RawMessage, notify func(json.RawMessage)) (enforce.Reply, error) {
	var p struct {
		Name string
		Meta struct{ ProgressToken json.RawMessage } `json:"_meta"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return enforce.Reply{}, err
	}
	switch p.Name {
	case "fail":
		return enforce.Reply{Error: json.RawMessage(`{"code":-32602,"message":"no such patient"}`)}, nil
	case "sick":
		return enforce.Reply{Result: json.RawMessage(`{"content":[],"isError":true}`)}, nil
	case "gone":
		return enforce.Reply{}, fault.Wrap(fault.Upstream, &enforce.Failure{Sent: true, Cause: io.EOF}, "server records: no answer")
	case "progress":
		for i := range 2 {
			if notify != nil {
				notify(json.RawMessage(fmt.Sprintf("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\n\"params\":{\"progressToken\":%s,\"progress\":%d}}", p.Meta.ProgressToken, i)))
				notify(json.RawMessage(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`))
				notify(json.RawMessage(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"another's"}}`))
			}
		}
	case "wait":
		u.started <- struct{}{}
		select {
		case <-u.release:
		case <-ctx.Done():
			return enforce.Reply{}, fault.Wrap(fault.Upstream, &enforce.Failure{Sent: true, Cause: context.Cause(ctx)}, "server records: given up")
		}
	}
	return enforce.Reply{Result: json.RawMessage(`{"params":` + string(params) + `}`)}, nil
}

// gateway serves a face over fakes.
func gateway(t testing.TB) (url string, s *spine, u *upstream) {
	t.Helper()
	s, u = &spine{}, &upstream{started: make(chan struct{}, 8), release: make(chan struct{})}
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	mux, err := route.New(route.Config{Issuer: srv.URL, Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	(&Face{Spine: s, Upstreams: u, Mux: mux, Version: "1.0"}).Mount()
	handler = mux
	return srv.URL, s, u
}

// post makes a request as a good client does; header overrides, and "" drops.
func post(t testing.TB, ctx context.Context, url, body string, header map[string]string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "DPoP "+token("known", "hop", ""))
	for k, v := range header {
		if r.Header.Del(k); v != "" {
			r.Header.Set(k, v)
		}
	}
	return r
}

// TestTranscripts plays testdata/*.txt. A step begins with "# title"; lines ">"
// hold the request's line if it is not "POST /mcp/records", headers ("Name:" drops
// one) and the body (in Go syntax when it begins with a quote); lines "<" what the
// answer must be: status, headers, body; lines "=" what the spine recorded.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range strings.Split("\n"+string(text), "\n# ")[1:] {
			title, lines, _ := strings.Cut(step, "\n")
			t.Run(filepath.Base(file)+"/"+title, func(t *testing.T) { play(t, lines) })
		}
	}
}

func play(t *testing.T, step string) {
	url, s, _ := gateway(t)
	method, path, body := "POST", "/mcp/records", ""
	header, wantHeader := map[string]string{}, map[string]string{}
	var wantStatus int
	var wantBody, wantRecord []string
	for line := range strings.Lines(step) {
		mark, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		name, value, named := strings.Cut(rest, ":")
		switch {
		case mark == ">" && (strings.HasPrefix(rest, "POST /") || strings.HasPrefix(rest, "GET /") || strings.HasPrefix(rest, "DELETE /")):
			method, path, _ = strings.Cut(rest, " ")
		case mark == ">" && strings.HasPrefix(rest, `"`):
			b, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatal(err)
			}
			body = b
		case mark == ">" && named && !strings.ContainsAny(name, `{[" `):
			header[name] = strings.TrimSpace(value)
		case mark == ">":
			body += rest
		case mark == "<" && wantStatus == 0:
			wantStatus, _ = strconv.Atoi(rest)
		case mark == "<" && named && !strings.ContainsAny(name, `{[" `) && len(wantBody) == 0 && name != "event":
			wantHeader[name] = strings.TrimSpace(value)
		case mark == "<":
			wantBody = append(wantBody, rest)
		case mark == "=":
			wantRecord = append(wantRecord, rest)
		}
	}
	r := post(t, t.Context(), url+path, body, header)
	r.Method = method
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != wantStatus {
		t.Errorf("status %d, want %d", resp.StatusCode, wantStatus)
	}
	for name, want := range wantHeader {
		if have := strings.Join(resp.Header.Values(name), " | "); strings.ReplaceAll(have, url, "ISSUER") != want {
			t.Errorf("%s: %s, want %s", name, have, want)
		}
	}
	text := strings.NewReplacer(url, "ISSUER", resp.Header.Get("X-Request-ID"), "REQ").Replace(strings.TrimSuffix(string(got), "\n\n"))
	if d := cmp.Diff(strings.Join(wantBody, "\n"), text); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantRecord, s.wait(len(wantRecord))); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
	if resp.Header.Get("Mcp-Session-Id") != "" {
		t.Error("a session was opened")
	}
}

func TestBodyBound(t *testing.T) {
	url, s, _ := gateway(t)
	big := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", maxBody) + `"}}`
	for name, body := range map[string]io.Reader{"announced": strings.NewReader(big), "chunked": io.MultiReader(strings.NewReader(big))} {
		r := post(t, t.Context(), url+"/mcp/records", "", nil)
		r.ContentLength = -1
		if name == "announced" {
			r.ContentLength = int64(len(big))
		}
		r.Body = io.NopCloser(body)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := []string{"refuse message: the message is larger than 1048576 bytes"}
		if got := s.take(); resp.StatusCode != http.StatusRequestEntityTooLarge || !slices.Equal(got, want) {
			t.Errorf("%s: status %d, recorded %q", name, resp.StatusCode, got)
		}
	}
}

// What ends an effect from the client's side, and what is recorded then.
func TestEnds(t *testing.T) {
	const wait = `{"jsonrpc":"2.0","id":"a1","method":"tools/call","params":{"name":"wait"}}`
	cancel := func(id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`
	}
	for _, tt := range []struct {
		name, who, cancel string
		leave             bool
		want              string // the outcome
	}{
		{name: "the client leaves", leave: true, want: "lost"},
		{name: "the client cancels", who: token("known", "hop", ""), cancel: cancel(`"a1"`), want: "lost"},
		{name: "cancelled with a renewed token", who: token("known", "hop", "renewed"), cancel: cancel(`"\u00611"`), want: "lost"},
		{name: "another hop's cancellation", who: token("known", "other", ""), cancel: cancel(`"a1"`), want: "ok"},
		{name: "another agent's cancellation", who: token("known2", "hop", ""), cancel: cancel(`"a1"`), want: "ok"},
		{name: "another id's cancellation", who: token("known", "hop", ""), cancel: cancel(`1`), want: "ok"},
		{name: "a cancellation that names nothing", who: token("known", "hop", ""), cancel: cancel(`{}`), want: "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, s, u := gateway(t)
			s.outcomes = make(chan string, 1)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			go func() {
				if resp, err := http.DefaultClient.Do(post(t, ctx, url+"/mcp/records", wait, nil)); err == nil {
					resp.Body.Close()
				}
			}()
			<-u.started
			if tt.leave {
				leave()
			}
			if tt.cancel != "" {
				resp, err := http.DefaultClient.Do(post(t, ctx, url+"/mcp/records", tt.cancel, map[string]string{"Authorization": "DPoP " + tt.who}))
				if err != nil || resp.StatusCode != http.StatusAccepted {
					t.Fatal(resp, err)
				}
				resp.Body.Close()
			}
			if tt.want == "ok" {
				time.Sleep(20 * time.Millisecond)
				close(u.release)
			}
			select {
			case got := <-s.outcomes:
				if got != tt.want {
					t.Errorf("outcome %s, want %s", got, tt.want)
				}
			case <-time.After(5 * time.Second):
				t.Error("no outcome")
			}
		})
	}
}

// Two connections of one agent may use the same id; a cancellation of it must
// not take an answer from the wrong one.
func TestAmbiguousCancellation(t *testing.T) {
	url, s, u := gateway(t)
	s.outcomes = make(chan string, 2)
	for range 2 {
		go func() {
			body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}`
			if resp, err := http.DefaultClient.Do(post(t, t.Context(), url+"/mcp/records", body, nil)); err == nil {
				resp.Body.Close()
			}
		}()
		<-u.started
	}
	resp, err := http.DefaultClient.Do(post(t, t.Context(), url+"/mcp/records", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	time.Sleep(20 * time.Millisecond)
	close(u.release)
	for range 2 {
		if got := <-s.outcomes; got != "ok" {
			t.Errorf("outcome %s", got)
		}
	}
}

func TestFlightsAreForgotten(t *testing.T) {
	var f flights
	k := flight{"a", "b", "c"}
	var ended int
	enter := func() func() { return f.enter(k, func(error) { ended++ }) }
	first, second := enter(), enter()
	first()
	f.cancel(k)
	second()
	second()
	if ended != 1 || len(f.open) != 0 {
		t.Errorf("%d ended, %d kept", ended, len(f.open))
	}
}

func TestAccepts(t *testing.T) {
	for header, want := range map[string][2]bool{
		"application/json, text/event-stream":          {true, true},
		"text/event-stream;q=0.5,application/json;v=1": {true, true},
		"*/*":                       {true, false},
		"application/*":             {true, false},
		"APPLICATION/JSON":          {true, false},
		"text/event-stream":         {false, true},
		"text/html":                 {false, false},
		"application/json;q=0":      {false, false},
		"application/json; q=0.000": {false, false},
		"application/json;q=0.1, text/event-stream; q=0.0": {true, false},
		"": {false, false},
	} {
		if plain, stream := accepts([]string{header}); plain != want[0] || stream != want[1] {
			t.Errorf("%q: %v, %v", header, plain, stream)
		}
	}
}

// FuzzParseTool: what is understood is what encoding/json reads under exactly
// these names, and no reader without regard to case can read anything else.
func FuzzParseTool(f *testing.F) {
	f.Add([]byte(`{"name":"r","arguments":{"a":1},"_meta":{"progressToken":"x","ambit/mission":"msn_01jd3v7q8x9m2n4p6r8t0v2w4y"}}`))
	f.Add([]byte(`{"name":"r","Name":"s"}`))
	f.Add([]byte(`{"name":"r","arguments":{"kelvin":1,"` + "\u212a" + `elvin":2}}`))
	f.Fuzz(func(t *testing.T, params []byte) {
		frame := slices.Concat([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`), params, []byte("}"))
		m, err := parsed(frame)
		if err != nil {
			return
		}
		c, reason := parseTool(m)
		if reason != "" {
			return
		}
		// encoding/json itself reads names without regard to case.
		var v struct {
			Name      string
			Arguments map[string]json.RawMessage
		}
		if err := json.Unmarshal(m, &v); err != nil || v.Name != c.name {
			t.Fatalf("%s: %q, encoding/json reads %q (%v)", m, c.name, v.Name, err)
		}
		var args map[string]json.RawMessage
		if err := json.Unmarshal(c.arguments, &args); err != nil || v.Arguments != nil && len(args) != len(v.Arguments) {
			t.Fatalf("%s: arguments %s (%v)", m, c.arguments, err)
		}
		for a := range args {
			for b := range args {
				if a != b && strings.EqualFold(a, b) {
					t.Fatalf("%q and %q", a, b)
				}
			}
		}
	})
}

func parsed(frame []byte) (json.RawMessage, error) {
	m, err := jsonrpc.Parse(frame)
	if err == nil && m.Params == nil {
		err = io.EOF
	}
	return m.Params, err
}
