package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
)

// every runs test over each transport, against a server made with the SDK.
func every(t *testing.T, test func(t *testing.T, u *Upstreams, o broker.Opened)) {
	serve := func(json bool) func(*testing.T) broker.Opened {
		return func(t *testing.T) broker.Opened {
			s := sdkServer()
			srv := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
				&mcp.StreamableHTTPOptions{JSONResponse: json}))
			t.Cleanup(srv.Close)
			return atURL(srv.URL)
		}
	}
	for name, open := range map[string]func(*testing.T) broker.Opened{
		"events": serve(false), "json": serve(true),
		"stdio": func(*testing.T) broker.Opened { return inProcess("msn_1", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t) // before u, so that u is closed first
			test(t, fresh(t, Options{}), o)
		})
	}
}

func TestTools(t *testing.T) {
	every(t, func(t *testing.T, u *Upstreams, o broker.Opened) {
		tools, err := u.Tools(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, raw := range tools {
			var tool struct {
				Name        string
				InputSchema map[string]any
			}
			if err := json.Unmarshal(raw, &tool); err != nil || tool.InputSchema == nil {
				t.Fatalf("%s: %v", raw, err)
			}
			names = append(names, tool.Name)
		}
		if d := cmp.Diff([]string{"cancelled", "crash", "echo", "progress", "wait", "whoami"}, names); d != "" {
			t.Error(d)
		}
	})
}

// A hundred callers share one session and each gets its own answer.
func TestParallelCalls(t *testing.T) {
	every(t, func(t *testing.T, u *Upstreams, o broker.Opened) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				want := fmt.Sprintf("answer %d", i)
				r, err := u.Call(t.Context(), o, "tools/call", call("echo", `{"text":"`+want+`"}`), nil)
				if err != nil || text(r) != want {
					t.Errorf("got %q, %v, want %q", text(r), err, want)
				}
			})
		}
		wg.Wait()
	})
}

// Callers that chose the same progress token each see their own progress, under
// their own token, in order and before the answer.
func TestProgress(t *testing.T) {
	every(t, func(t *testing.T, u *Upstreams, o broker.Opened) {
		if strings.HasSuffix(t.Name(), "/json") {
			t.Skip("a server that answers in JSON reports no progress")
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				own, last := fmt.Sprintf("caller %d", i), 0.0
				params := fmt.Sprintf("{\"name\":\"progress\",\n\"arguments\":{\"text\":%q,\"steps\":5},\"_meta\":{\"progressToken\":\"same\"}}", own)
				r, err := u.Call(t.Context(), o, "tools/call", json.RawMessage(params), func(raw json.RawMessage) {
					var n struct {
						Method string
						Params struct {
							ProgressToken, Message string
							Progress               float64
						}
					}
					if err := json.Unmarshal(raw, &n); err != nil || n.Method != "notifications/progress" {
						t.Errorf("%s: %v", raw, err)
					}
					if n.Params.ProgressToken != "same" || n.Params.Message != own || n.Params.Progress != last+1 {
						t.Errorf("caller %d after %v got %s", i, last, raw)
					}
					last = n.Params.Progress
				})
				if err != nil || text(r) != own || last != 5 {
					t.Errorf("got %q after %v, %v", text(r), last, err)
				}
			})
		}
		wg.Wait()
	})
}

// A caller that leaves cancels its call at the server, and nobody else's.
func TestCancel(t *testing.T) {
	every(t, func(t *testing.T, u *Upstreams, o broker.Opened) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := u.Call(ctx, o, "tools/call", call("wait", `{}`), nil)
		if f, ok := errors.AsType[*broker.Failure](err); !ok || !f.Sent || fault.KindOf(err) != fault.Upstream || !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
		for range 200 {
			r, err := u.Call(t.Context(), o, "tools/call", call("cancelled", `{}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			if text(r) == "1" {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Error("the server was not told")
	})
}

func TestUnknownToolIsAnAnswer(t *testing.T) {
	every(t, func(t *testing.T, u *Upstreams, o broker.Opened) {
		r, err := u.Call(t.Context(), o, "tools/call", call("nope", `{}`), nil)
		if err != nil || r.Result == nil && r.Error == nil {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Nothing of the caller's is forwarded, params are to the byte, and what is
// injected arrives.
func TestWhatIsSent(t *testing.T) {
	var got http.Header
	var params string
	url, _ := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) {
		if m.Method == "tools/call" {
			got, params = r.Header.Clone(), string(m.Params)
			answer(w, m, `{ "content" : [] }`)
		}
	})
	u := fresh(t, Options{Version: "1.2"})
	want := `{"name":"r\u0065ad", "arguments" : { "p" : 1.0e0 },"_meta":{"progressToken":7}}`
	r, err := u.Call(t.Context(), atURL(url), "tools/call", json.RawMessage(want), nil)
	if err != nil || string(r.Result) != `{ "content" : [] }` {
		t.Fatalf("%s, %v", r.Result, err)
	}
	if params != want {
		t.Errorf("params arrived as %s", params)
	}
	got.Del("Content-Length")
	if d := cmp.Diff(http.Header{"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"},
		"Authorization": {"Bearer upstream-secret"}, "User-Agent": {"ambit/1.2"},
		"Mcp-Session-Id": {"session-1"}, "Mcp-Protocol-Version": {"2025-06-18"}}, got); d != "" {
		t.Error(d)
	}
}

func TestSessionsAreNotShared(t *testing.T) {
	url, count := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) { answer(w, m, `{}`) })
	u := fresh(t, Options{})
	server := mapping.Server{ID: "srv_test", Handle: "records", URL: url}
	for range 3 {
		for _, mission := range []string{"msn_1", "msn_2"} {
			if _, err := u.Call(t.Context(), opened(server, mission, nil, nil), "tools/call", call("x", `{}`), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count.Load() != 2 {
		t.Errorf("%d sessions for two missions", count.Load())
	}
}

// A session that the server forgot is opened again, once, and the call repeated.
func TestExpiredSession(t *testing.T) {
	var served atomic.Int64
	url, count := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) {
		if r.Header.Get("Mcp-Session-Id") == "session-1" {
			http.NotFound(w, r)
			return
		}
		served.Add(1)
		answer(w, m, `{}`)
	})
	u := fresh(t, Options{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := u.Call(t.Context(), atURL(url), "tools/call", call("x", `{}`), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if count.Load() != 2 || served.Load() != 20 {
		t.Errorf("%d sessions, %d calls served", count.Load(), served.Load())
	}

	url, count = scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) { http.NotFound(w, r) })
	_, err := u.Call(t.Context(), opened(mapping.Server{ID: "srv_2", URL: url}, "msn_1", nil, nil), "tools/call", call("x", `{}`), nil)
	if err == nil || count.Load() != 2 {
		t.Errorf("%d sessions, %v", count.Load(), err)
	}
}

// The answers of a server that is broken or hostile, and what is made of them.
func TestBadAnswers(t *testing.T) {
	var elsewhere atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	say := func(kind string, status int, body string) func(http.ResponseWriter, *http.Request, frame) {
		return func(w http.ResponseWriter, _ *http.Request, m frame) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(strings.ReplaceAll(body, "ID", string(m.ID))))
		}
	}
	const j, sse = "application/json", "text/event-stream"
	tests := map[string]struct {
		h    func(http.ResponseWriter, *http.Request, frame)
		want string // of the answer; "" for a failure
	}{
		"charset":           {say(j+"; charset=utf-8", 200, `{"jsonrpc":"2.0","id":ID,"result":{}}`), `{}`},
		"error":             {say(j, 200, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"no"}}`), `{"code":-32602,"message":"no"}`},
		"error with status": {say(j, 400, `{"jsonrpc":"2.0","id":ID,"error":{"code":1,"message":"no"}}`), `{"code":1,"message":"no"}`},
		"result with 500":   {say(j, 500, `{"jsonrpc":"2.0","id":ID,"result":{}}`), ``},
		"another id":        {say(j, 200, `{"jsonrpc":"2.0","id":999,"result":{}}`), ``},
		"string id":         {say(j, 200, `{"jsonrpc":"2.0","id":"ID","result":{}}`), ``},
		"batch":             {say(j, 200, `[{"jsonrpc":"2.0","id":ID,"result":{}}]`), ``},
		"two messages":      {say(j, 200, `{"jsonrpc":"2.0","id":ID,"result":{}}{"a":1}`), ``},
		"two results":       {say(j, 200, `{"jsonrpc":"2.0","id":ID,"result":{},"result":{"a":1}}`), ``},
		"break out":         {say(j, 200, `{"jsonrpc":"2.0","id":ID,"result":{}},"x":{}}`), ``},
		"not UTF-8":         {say(j, 200, "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"a\":\"\xff\"}}"), ``},
		"HTML":              {say("text/html", 200, `<p>`), ``},
		"accepted":          {say(j, 202, ``), ``},
		"unauthorized":      {say("text/plain", 401, `upstream-secret is wrong`), ``},
		"events, CRLF":      {say(sse, 200, ": hi\r\n\r\nevent: message\r\nid: 1\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":ID,\"result\":{}}\r\n\r\n"), `{}`},
		"events, no answer": {say(sse, 200, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n"), ``},
		"events, half":      {say(sse, 200, "data: {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}\n"), ``},
		"events, bad":       {say(sse, 200, "data: {]\n\n"), ``},
		"redirect": {func(w http.ResponseWriter, r *http.Request, _ frame) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, ``},
		"too large": {func(w http.ResponseWriter, _ *http.Request, m frame) {
			answer(w, m, `{"a":"`+strings.Repeat("x", 5000)+`"}`)
		}, ``},
		"too large, no length": {func(w http.ResponseWriter, _ *http.Request, m frame) {
			w.(http.Flusher).Flush()
			say(j, 200, `{"jsonrpc":"2.0","id":ID,"result":{"a":"`+strings.Repeat("x", 5000)+`"}}`)(w, nil, m)
		}, ``},
		"events, too large": {say(sse, 200, "data: "+strings.Repeat("x", 9000)+"\n\n"), ``},
		"cut": {func(w http.ResponseWriter, _ *http.Request, m frame) {
			w.Header().Set("Content-Length", "100")
			answer(w, m, `{`)
		}, ``},
		"no answer at all": {func(http.ResponseWriter, *http.Request, frame) { panic(http.ErrAbortHandler) }, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url, _ := scripted(t, tt.h)
			r, err := fresh(t, Options{MaxAnswer: 4096}).Call(t.Context(), atURL(url), "tools/call", call("x", `{}`), nil)
			if got := string(r.Result) + string(r.Error); got != tt.want || (err == nil) != (tt.want != "") {
				t.Fatalf("got %s, %v", got, err)
			}
			if err == nil {
				return
			}
			if f, ok := errors.AsType[*broker.Failure](err); !ok || !f.Sent || fault.KindOf(err) != fault.Upstream {
				t.Errorf("%v: Failure %+v", err, f)
			}
			if strings.Contains(err.Error(), "upstream-secret") {
				t.Errorf("the error tells the credential: %v", err)
			}
		})
	}
	if elsewhere.Load() {
		t.Error("a redirect was followed")
	}
}

// An error says that nothing was sent exactly when nothing was.
func TestUnsent(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer silent.Close()
	server := func(s mapping.Server) broker.Opened { s.ID = "srv_test"; return opened(s, "msn_1", nil, nil) }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx context.Context
		o   broker.Opened
	}{
		"nothing opened":     {t.Context(), broker.Opened{}},
		"no listener":        {t.Context(), atURL(gone.URL)},
		"no handshake":       {t.Context(), atURL(silent.URL)},
		"not a URL":          {t.Context(), atURL("ftp://x")},
		"no program":         {t.Context(), server(mapping.Server{Command: []string{"/no/such/program"}})},
		"no MCP":             {t.Context(), server(mapping.Server{Command: []string{"true"}})},
		"URL and command":    {t.Context(), server(mapping.Server{URL: gone.URL, Command: []string{"true"}})},
		"ended, stdio":       {ended, inProcess("msn_1", nil)},
		"bad injected value": {t.Context(), opened(mapping.Server{ID: "srv_test", URL: gone.URL}, "m", map[string]string{"X": "a\nb"}, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fresh(t, Options{}).Call(tt.ctx, tt.o, "tools/call", call("x", `{}`), nil)
			if f, ok := errors.AsType[*broker.Failure](err); !ok || f.Sent || fault.KindOf(err) != fault.Upstream {
				t.Errorf("%v: Failure %+v", err, f)
			}
		})
	}
}

// What a server asks of its client is declined, a ping is answered, and the call
// goes on.
func TestServerRequests(t *testing.T) {
	said := make(chan frame, 2)
	url, _ := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) {
		if m.Method == "" {
			said <- m
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":\"sampling/createMessage\",\"params\":{}}\n\n")
		w.(http.Flusher).Flush()
		if a := <-said; string(a.ID) != `"s1"` || a.Error == nil || a.Error.Code != -32601 {
			t.Errorf("sampling was answered with %+v", a)
		}
		fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\"}\n\n")
		w.(http.Flusher).Flush()
		if a := <-said; string(a.ID) != `5` || string(a.Result) != "{}" {
			t.Errorf("ping was answered with %+v", a)
		}
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", m.ID)
	})
	if _, err := fresh(t, Options{}).Call(t.Context(), atURL(url), "tools/call", call("x", `{}`), nil); err != nil {
		t.Error(err)
	}
}

// A stream that ends before its answer is continued behind its last event.
func TestResume(t *testing.T) {
	var id json.RawMessage
	url, _ := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch {
		case r.Method == http.MethodPost:
			id = m.ID
			fmt.Fprint(w, "id: e1\nretry: 1\ndata:\n\n")
		case r.Header.Get("Last-Event-Id") == "e1":
			fmt.Fprint(w, "id: e2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n")
		case r.Header.Get("Last-Event-Id") == "e2":
			fmt.Fprintf(w, "id: e3\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"n\":1}}\n\n", id)
		}
	})
	notes := 0
	r, err := fresh(t, Options{}).Call(t.Context(), atURL(url), "tools/call", call("x", `{}`), func(json.RawMessage) { notes++ })
	if err != nil || string(r.Result) != `{"n":1}` || notes != 1 {
		t.Errorf("%s after %d notes, %v", r.Result, notes, err)
	}
}

// pid asks the process of o who it is.
func pid(t *testing.T, u *Upstreams, o broker.Opened) (id int, secret string) {
	t.Helper()
	r, err := u.Call(t.Context(), o, "tools/call", call("whoami", `{}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Sscan(text(r), &id, &secret)
	return id, secret
}

func died(t *testing.T, pid int) {
	t.Helper()
	for range 300 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
}

// One process for a key: shared by its calls, replaced when it crashed or when
// its secret was rotated, ended when idle.
func TestProcesses(t *testing.T) {
	u := fresh(t, Options{IdleTime: 400 * time.Millisecond})
	one := inProcess("msn_1", map[string]string{"SECRET": "first"})
	first, secret := pid(t, u, one)
	if again, _ := pid(t, u, one); again != first || secret != "first" || first == os.Getpid() {
		t.Errorf("processes %d and %d, secret %q", first, again, secret)
	}
	if other, _ := pid(t, u, inProcess("msn_2", map[string]string{"SECRET": "first"})); other == first {
		t.Error("two missions share a process")
	}
	_, err := u.Call(t.Context(), one, "tools/call", call("crash", `{}`), nil)
	if f, ok := errors.AsType[*broker.Failure](err); !ok || !f.Sent {
		t.Errorf("a crash: %v", err)
	}
	second, _ := pid(t, u, one)
	if second == first {
		t.Error("a crashed process answers")
	}
	rotated, secret := pid(t, u, inProcess("msn_1", map[string]string{"SECRET": "second"}))
	if rotated == second || secret != "second" {
		t.Errorf("after the rotation process %d has %q", rotated, secret)
	}
	died(t, first)
	died(t, second)
	died(t, rotated) // idle
}

// A session that is idle is ended at the server too.
func TestIdleSession(t *testing.T) {
	ended := make(chan string, 1)
	url, _ := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) {
		if r.Method == http.MethodDelete {
			ended <- r.Header.Get("Mcp-Session-Id")
			return
		}
		answer(w, m, `{}`)
	})
	u := fresh(t, Options{IdleTime: 50 * time.Millisecond})
	if _, err := u.Call(t.Context(), atURL(url), "tools/call", call("x", `{}`), nil); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "session-1" {
		t.Errorf("ended session %q", got)
	}
}

func TestMaxSessions(t *testing.T) {
	url, _ := scripted(t, func(w http.ResponseWriter, r *http.Request, m frame) { answer(w, m, `{}`) })
	u := fresh(t, Options{MaxSessions: 1})
	server := mapping.Server{ID: "srv_test", Handle: "records", URL: url}
	for mission, ok := range []bool{true, false} {
		_, err := u.Call(t.Context(), opened(server, fmt.Sprint(mission), nil, nil), "tools/call", call("x", `{}`), nil)
		if (err == nil) != ok {
			t.Errorf("session %d: %v", mission, err)
		}
	}
}

func TestCallTime(t *testing.T) {
	url, _ := scripted(t, func(_ http.ResponseWriter, r *http.Request, m frame) {
		if m.Method == "tools/call" {
			<-r.Context().Done()
		}
	})
	_, err := fresh(t, Options{CallTime: 50 * time.Millisecond}).Call(t.Context(), atURL(url), "tools/call", call("x", `{}`), nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without an answer: %v", err)
	}
}

// Close cuts what does not end in time, on every transport, and takes no more.
func TestClose(t *testing.T) {
	every(t, func(t *testing.T, u *Upstreams, o broker.Opened) {
		if _, err := u.Tools(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		cut := make(chan error, 1)
		go func() {
			_, err := u.Call(context.Background(), o, "tools/call", call("wait", `{}`), nil)
			cut <- err
		}()
		time.Sleep(50 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		u.Close(ctx)
		if f, ok := errors.AsType[*broker.Failure](<-cut); !ok || !f.Sent {
			t.Errorf("the call in flight: %+v", f)
		}
		_, err := u.Call(t.Context(), o, "tools/call", call("echo", `{}`), nil)
		if f, ok := errors.AsType[*broker.Failure](err); !ok || f.Sent {
			t.Errorf("after Close: %v", err)
		}
	})
}
