package route_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
)

const issuer = "https://ambit.test"

func newMux(t testing.TB, log io.Writer) *route.Mux {
	t.Helper()
	m, err := route.New(route.Config{Issuer: issuer, Hosts: []string{"127.0.0.1:8420"},
		Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func problem(t *testing.T, w *httptest.ResponseRecorder) route.Problem {
	t.Helper()
	var p route.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != route.ProblemType {
		t.Fatalf("%d %s: not a problem: %v", w.Code, w.Body, err)
	}
	if p.Status != w.Code || string(p.RequestID) != w.Header().Get("X-Request-ID") || !p.RequestID.Is(principal.Request) {
		t.Fatalf("problem %+v does not fit its response", p)
	}
	return p
}

func ok(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("ok"))
	return err
}

func TestAdmission(t *testing.T) {
	m := newMux(t, io.Discard)
	m.Mount(route.Route{Pattern: "POST /oauth/token", Action: "token.issue"}, ok)
	m.Mount(route.Route{Pattern: "GET /files/", Action: "files.read"}, ok)
	for name, c := range map[string]struct {
		method, url string
		edit        func(*http.Request)
		status      int
		code        string
	}{
		"issuer's host":          {"POST", issuer + "/oauth/token", nil, 200, ""},
		"listener's address":     {"POST", "http://127.0.0.1:8420/oauth/token", nil, 200, ""},
		"rebound name":           {"POST", "http://evil.test/oauth/token", nil, 421, "malformed"},
		"host with another port": {"POST", "https://ambit.test:1/oauth/token", nil, 421, "malformed"},
		"no host":                {"POST", issuer + "/oauth/token", func(r *http.Request) { r.Host = "" }, 421, "malformed"},
		"own origin":             {"POST", issuer + "/oauth/token", func(r *http.Request) { r.Header.Set("Origin", issuer) }, 200, ""},
		"another origin":         {"POST", issuer + "/oauth/token", func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, 403, "denied"},
		"null origin":            {"POST", issuer + "/oauth/token", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403, "denied"},
		"origin of other scheme": {"POST", issuer + "/oauth/token", func(r *http.Request) { r.Header.Set("Origin", "http://ambit.test") }, 403, "denied"},
		"two origins":            {"POST", issuer + "/oauth/token", func(r *http.Request) { r.Header["Origin"] = []string{issuer, issuer} }, 403, "denied"},
		"another method":         {"GET", issuer + "/oauth/token", nil, 405, "malformed"},
		"nothing there":          {"GET", issuer + "/nothing", nil, 404, "not_found"},
		"trailing slash":         {"GET", issuer + "/files/", nil, 200, ""},
		"dot segments":           {"GET", issuer + "/files/../oauth/token", nil, 404, "not_found"},
		"two slashes":            {"GET", issuer + "//files/", nil, 404, "not_found"},
		"escaped dots":           {"GET", issuer + "/files/%2e%2e/x", nil, 404, "not_found"},
		"long query":             {"GET", issuer + "/files/?q=" + strings.Repeat("a", 9000), nil, 414, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.url, nil)
			if c.edit != nil {
				c.edit(r)
			}
			w := do(m, r)
			if w.Code != c.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.code != "" && problem(t, w).Code != c.code {
				t.Errorf("%s, want %s", w.Body, c.code)
			}
		})
	}
}

func TestMountNeedsAnAction(t *testing.T) {
	for _, r := range []route.Route{
		{Pattern: "GET /a"}, {Pattern: "GET /a", Action: "Read"}, {Pattern: "GET /a", Action: "a..b"}, {Pattern: "GET /a", Action: "."},
		{Pattern: "/a", Action: "a.read"}, {Pattern: "GET a", Action: "a.read"},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was mounted", r)
				}
			}()
			newMux(t, io.Discard).Mount(r, ok)
		}()
	}
}

func TestIssuerIsExact(t *testing.T) {
	for _, bad := range []string{"", "ambit.test", "https://ambit.test/", "https://ambit.test/a", "https://Ambit.test", "https://u@ambit.test", "ftp://ambit.test", "https://ambit.test?x"} {
		_, err := route.New(route.Config{Issuer: bad, Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.DiscardHandler)})
		if fault.KindOf(err) != fault.Malformed {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestPresent(t *testing.T) {
	m := newMux(t, io.Discard)
	present := func(edit func(*http.Request)) (route.Presented, error) {
		var p route.Presented
		var err error
		m := newMux(t, io.Discard)
		m.Mount(route.Route{Pattern: "POST /mcp/{server}", Action: "tool.call"}, func(_ http.ResponseWriter, r *http.Request) error {
			p, err = m.Present(r)
			return nil
		})
		r := httptest.NewRequest("POST", "http://127.0.0.1:8420/mcp/re%20c?x=y", nil)
		r.Header.Set("X-Forwarded-Host", "evil")
		edit(r)
		do(m, r)
		return p, err
	}
	p, err := present(func(r *http.Request) { r.Header.Set("Authorization", "dPoP  tok"); r.Header.Set("DPoP", "proof") })
	if err != nil || p.Scheme != "DPoP" || p.Token != "tok" || p.Proof != "proof" || p.Method != "POST" || p.URL != issuer+"/mcp/re%20c" || p.Request == "" {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := present(func(*http.Request) {}); err != nil || p.Token != "" || p.Scheme != "" {
		t.Errorf("%+v %v", p, err)
	}
	for name, edit := range map[string]func(*http.Request){
		"token in the query":  func(r *http.Request) { r.URL.RawQuery = "access_token=t" },
		"two authorizations":  func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} },
		"two proofs":          func(r *http.Request) { r.Header["Dpop"] = []string{"a", "b"} },
		"basic":               func(r *http.Request) { r.SetBasicAuth("a", "b") },
		"no token":            func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
		"two in one header":   func(r *http.Request) { r.Header.Set("Authorization", "Bearer a, DPoP b") },
		"two tokens":          func(r *http.Request) { r.Header.Set("Authorization", "Bearer a b") },
		"empty authorization": func(r *http.Request) { r.Header.Set("Authorization", "") },
	} {
		if p, err := present(edit); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	_ = m
}

type coded struct{ nonce string }

func (coded) Error() string       { return "code" }
func (coded) OAuthCode() string   { return "use_dpop_nonce" }
func (c coded) DPoPNonce() string { return c.nonce }

func TestFaultsBecomeProblems(t *testing.T) {
	var log bytes.Buffer
	m := newMux(t, &log)
	var next error
	m.Mount(route.Route{Pattern: "GET /x", Action: "x.read"}, func(http.ResponseWriter, *http.Request) error { return next })
	m.Mount(route.Route{Pattern: "GET /panic", Action: "x.panic"}, func(http.ResponseWriter, *http.Request) error { panic("boom: secret") })
	m.Mount(route.Route{Pattern: "GET /half", Action: "x.half"}, func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		return errors.New("then it broke")
	})
	get := func(path string, err error) *httptest.ResponseRecorder {
		next = err
		return do(m, httptest.NewRequest("GET", issuer+path, nil))
	}
	for kind, status := range map[fault.Kind]int{fault.Malformed: 400, fault.Denied: 403, fault.NotFound: 404, fault.Conflict: 409,
		fault.TooLarge: 413, fault.Exhausted: 429, fault.Unavailable: 503, fault.Upstream: 502} {
		p := problem(t, get("/x", fault.Wrap(kind, errors.New("secret"), "message").WithHint("hint")))
		if p.Status != status || p.Code != kind.String() || p.Detail != "message" || p.Hint != "hint" {
			t.Errorf("%s: %+v", kind, p)
		}
	}
	if w := get("/x", fault.New(fault.Unavailable, "x")); w.Header().Get("Retry-After") != "1" {
		t.Error("unavailable without Retry-After")
	}
	w := get("/x", errors.New("secret"))
	if p := problem(t, w); p.Code != "internal" || strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "secret") {
		t.Errorf("%+v; log %s", p, &log)
	}
	if p := problem(t, get("/x", context.DeadlineExceeded)); p.Code != "unavailable" {
		t.Errorf("%+v", p)
	}
	if w := get("/panic", nil); problem(t, w).Code != "internal" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%s", w.Body)
	}
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("half an answer was ended as if it were whole")
			}
		}()
		get("/half", nil)
	}()
	w = get("/x", fault.New(fault.Unauthenticated, "no token"))
	if got := w.Header().Values("WWW-Authenticate"); w.Code != 401 || len(got) != 2 || got[0] != `DPoP algs="ES256"` || got[1] != "Bearer" {
		t.Errorf("%d %q", w.Code, got)
	}
	w = get("/x", fault.Wrap(fault.Unauthenticated, coded{"n1"}, "say \"it\" again · now"))
	if got := w.Header().Get("WWW-Authenticate"); got != `DPoP algs="ES256", error="use_dpop_nonce", error_description="say 'it' again - now"` || w.Header().Get("DPoP-Nonce") != "n1" {
		t.Errorf("%q", got)
	}
}

func TestBodyIsBounded(t *testing.T) {
	m := newMux(t, io.Discard)
	var got []byte
	m.Mount(route.Route{Pattern: "POST /x", Action: "x.write", MaxBody: 8}, func(_ http.ResponseWriter, r *http.Request) (err error) {
		got, err = route.Body(r, "application/json")
		return err
	})
	send := func(body, typ string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", issuer+"/x", strings.NewReader(body))
		if typ != "" {
			r.Header.Set("Content-Type", typ)
		}
		return do(m, r)
	}
	if w := send("12345678", "application/json; charset=utf-8"); w.Code != 200 || string(got) != "12345678" {
		t.Errorf("%d %q", w.Code, got)
	}
	if p := problem(t, send("123456789", "application/json")); p.Status != 413 {
		t.Errorf("%+v", p)
	}
	for _, typ := range []string{"", "text/plain", "application/json, text/plain", ";"} {
		if p := problem(t, send("1", typ)); p.Status != 400 {
			t.Errorf("%q: %+v", typ, p)
		}
	}
}

// A real connection: a stream outlives the server's deadlines, flushes, and ends
// with its client.
func TestStream(t *testing.T) {
	m, err := route.New(route.Config{Issuer: issuer, Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	m.Mount(route.Route{Pattern: "POST /stream", Action: "x.stream", Stream: true}, func(w http.ResponseWriter, r *http.Request) error {
		defer close(ended)
		if _, err := route.Body(r, "application/json"); err != nil {
			return err
		}
		_, _ = w.Write([]byte("one\n"))
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		_, _ = w.Write([]byte("two\n"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return r.Context().Err()
	})
	s := httptest.NewUnstartedServer(m)
	s.Config = m.Serve()
	s.Config.ReadTimeout, s.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	s.Start()
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/stream", strings.NewReader("{}"))
	r.Host = "ambit.test"
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 8)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "one\ntwo\n" {
		t.Fatalf("%q %v", b, err)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		t.Error("the handler did not learn that its client left")
	}
}
