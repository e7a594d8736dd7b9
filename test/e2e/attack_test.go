package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// injected is the credential that the upstream wants, and that no agent has.
const injected = "the key of the upstream"

// An attack is one message that must not pass. It begins as a call that would.
type attack struct {
	name   string
	change func(*http.Request)
	status int    // of the HTTP answer
	code   int    // of the JSON-RPC error, 0 where the answer is none
	says   string // in the answer: why
	// recorded says that the presenter is known by then, so that the attempt is
	// on the record of its mission as a denial.
	recorded bool
}

// An arena is a world with two agents under missions: one with tokens that are
// bound to its key, one with bearer tokens.
type arena struct {
	*world
	up      *upstream
	bound   taken
	weak    taken
	spy     *spy   // before the bound agent
	thief   *spy   // before the weak agent
	token   string // the weak agent's
	other   string // the weak agent's, for another server
	persons string // the administrator's own, for the API
}

func newArena(t *testing.T) *arena {
	a := &arena{world: newWorld(t), spy: &spy{}, thief: &spy{}}
	a.up = newUpstream(t, func(string, map[string]json.RawMessage) {}, "read", "write")
	strong, weak := newKey(t), newKey(t)
	secret := filepath.Join(a.dir, "secret")
	must(t, os.WriteFile(secret, []byte(injected), 0o600))
	blueprint := func(id string, bearer bool) map[string]any {
		return map[string]any{"id": id, "owner": "admin", "purpose": "read notes", "entitlement": "delegated", "bearer": bearer, "ceiling": []any{
			map[string]any{"type": "mcp_tool", "server": "notes", "actions": []string{"read"}, "arguments": map[string]any{"id": map[string]any{"pathPrefix": "P1"}}},
			map[string]any{"type": "mcp_tool", "server": "other", "actions": []string{"read"}, "arguments": map[string]any{"id": map[string]any{"pathPrefix": "P1"}}}}}
	}
	tools := map[string]any{"read": map[string]any{"effect": "read"}, "write": map[string]any{"effect": "write"}}
	a.apply(map[string]any{
		"users": []any{map[string]any{"id": "admin"}},
		"servers": []any{
			map[string]any{"id": "notes", "url": a.up.URL, "tools": tools, "headers": map[string]any{"X-Api-Key": map[string]any{"file": secret}}},
			map[string]any{"id": "other", "url": a.up.URL, "tools": tools}},
		"blueprints": []any{blueprint("bound", false), blueprint("weak", true)},
		"agents": []any{map[string]any{"id": "bound", "blueprint": "bound", "key": strong.Public()},
			map[string]any{"id": "weak", "blueprint": "weak", "key": weak.Public()}},
		"policies": permit("notes", "other"),
	})
	a.bound = a.take(mandate{agent: "bound", key: strong, over: a.spy}, "notes")
	a.weak = a.take(mandate{agent: "weak", key: weak, bearer: true, over: a.thief}, "notes")
	for server, into := range map[string]*string{"notes": &a.token, "other": &a.other} {
		token, err := a.weak.Token(t.Context(), server)
		must(t, err)
		*into = token.Access
	}
	token, err := a.admin.Token(t.Context())
	must(t, err)
	a.persons = token.Access
	return a
}

// good is a request that is allowed as it stands.
func (a *arena) good() *http.Request {
	req, err := http.NewRequestWithContext(a.t.Context(), "POST", a.issuer+"/mcp/notes", nil)
	must(a.t, err)
	setBody(req, toolCall("read", map[string]string{"id": "P1/labs"}))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+a.token)
	return req
}

// bind returns the headers by which the bound agent would authorize a request.
func (a *arena) bind(method, target string) http.Header {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, target, nil)
	must(a.t, err)
	if _, err := a.bound.HTTPClient("notes").Do(req); !errors.Is(err, errSpied) {
		a.t.Fatal(err)
	}
	return a.spy.seen.Header
}

// send sends req and returns the status and the body of the answer.
func (a *arena) send(req *http.Request) (int, string) {
	a.t.Helper()
	// Nothing is followed: a redirect is an answer.
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	must(a.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(a.t, err)
	if res.StatusCode == http.StatusUnauthorized && res.Header.Get("WWW-Authenticate") == "" {
		a.t.Error("401 without a challenge")
	}
	return res.StatusCode, string(b)
}

// denials counts the denied decisions on the record of the weak agent's mission.
func (a *arena) denials() (n int) {
	a.t.Helper()
	for _, e := range a.bundle(a.weak.ID()).Entries {
		if e.Leaf.Kind == "decision" && e.Leaf.Decision == "deny" {
			n++
		}
	}
	return n
}

// run makes each attack and checks its answer, that the upstream knows nothing
// of it, and that it is on the record exactly if somebody made it.
func (a *arena) run(t *testing.T, attacks []attack) {
	if status, body := a.send(a.good()); status != http.StatusOK || !strings.Contains(body, "done") {
		t.Fatalf("what the attacks begin as is not allowed: %d %s", status, body)
	}
	want := a.denials()
	for _, x := range attacks {
		t.Run(x.name, func(t *testing.T) {
			a.t = t
			before := a.up.arrived()
			req := a.good()
			x.change(req)
			status, body := a.send(req)
			var answer rpcAnswer
			_ = json.Unmarshal([]byte(body), &answer) // not every answer is one
			code := 0
			if answer.Error != nil {
				code = answer.Error.Code
			}
			if status != x.status || code != x.code || !strings.Contains(body, x.says) {
				t.Errorf("answered %d, code %d, want %d, code %d, saying %q:\n%s", status, code, x.status, x.code, x.says, body)
			}
			if a.up.arrived() != before {
				t.Error("something was forwarded")
			}
			if x.recorded {
				want++
			}
		})
	}
	a.t = t
	if got := a.denials(); got != want {
		t.Errorf("%d denials are on the record, want %d", got, want)
	}
}

func setBody(req *http.Request, body string) {
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

// frame is an attack by what the message says.
func frame(name, body string, status, code int, says string) attack {
	return attack{name, func(r *http.Request) { setBody(r, body) }, status, code, says, true}
}

func TestFrames(t *testing.T) {
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
	}
	read := func(arguments string) string { return call(`{"name":"read","arguments":` + arguments + `}`) }
	const (
		parse, invalid, unknown, params, denied = -32700, -32600, -32601, -32602, -32001
		fits                                    = `{"id":"P1/labs"}`
	)
	a := newArena(t)
	a.run(t, []attack{
		frame("batch", "["+read(fits)+"]", 400, invalid, "batch"),
		frame("nothing", "", 400, parse, ""),
		frame("not JSON", "id=P1", 400, parse, ""),
		frame("two messages", read(fits)+read(fits), 400, parse, "after the message"),
		frame("byte order mark", "\ufeff"+read(fits), 400, parse, ""),
		frame("invalid UTF-8", read("{\"id\":\"P1/\xff\"}"), 400, parse, "UTF-8"),
		frame("overlong UTF-8", read("{\"id\":\"P1\xc0\xaf\"}"), 400, parse, "UTF-8"),
		frame("lone surrogate", read(`{"id":"P1/\ud800"}`), 400, parse, ""),
		frame("method twice", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{}}`, 400, parse, ""),
		frame("tool twice after unescaping", call(`{"name":"read","n\u0061me":"write","arguments":`+fits+`}`), 400, parse, ""),
		frame("argument twice after unescaping", read(`{"id":"P1/labs","\u0069d":"P2/labs"}`), 400, parse, ""),
		frame("argument twice but for case", read(`{"id":"P1/labs","ID":"P2/labs"}`), 200, params, "case"),
		frame("tool twice but for case", call(`{"name":"read","Name":"write","arguments":`+fits+`}`), 200, params, "none of name"),
		frame("task", call(`{"name":"read","arguments":`+fits+`,"task":{"ttl":60000}}`), 200, params, "none of name"),
		frame("deep", read(`{"id":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`}`), 400, parse, ""),
		frame("version", strings.Replace(read(fits), "2.0", "1.0", 1), 400, invalid, "jsonrpc"),
		frame("id that is null", strings.Replace(read(fits), `"id":1`, `"id":null`, 1), 400, invalid, "id"),
		frame("id that is an object", strings.Replace(read(fits), `"id":1`, `"id":{}`, 1), 400, invalid, "id"),
		frame("no id", strings.Replace(read(fits), `"id":1,`, ``, 1), 400, invalid, "needs an id"),
		frame("answer to nothing", `{"jsonrpc":"2.0","id":1,"result":{}}`, 400, invalid, ""),
		frame("params that are a list", call(`["read"]`), 400, params, "params"),
		frame("arguments that are a list", call(`{"name":"read","arguments":["P1"]}`), 200, params, "arguments"),
		frame("no tool", call(`{"arguments":`+fits+`}`), 200, params, "name"),
		frame("other method", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}`, 200, unknown, "tools only"),
		frame("unknown tool", call(`{"name":"erase","arguments":`+fits+`}`), 200, denied, "ceiling"),
		frame("tool in other case", call(`{"name":"READ","arguments":`+fits+`}`), 200, denied, "ceiling"),
		frame("tool that is not delegated", call(`{"name":"write","arguments":`+fits+`}`), 200, denied, "ceiling"),
		frame("unknown argument", read(`{"id":"P1/labs","force":true}`), 200, denied, "ceiling"),
		frame("no argument", read(`{}`), 200, denied, "ceiling"),
		frame("argument of another kind", read(`{"id":["P1/labs"]}`), 200, denied, "ceiling"),
		frame("another patient", read(`{"id":"P2/labs"}`), 200, denied, "ceiling"),
		frame("a patient whose name begins alike", read(`{"id":"P10/labs"}`), 200, denied, "ceiling"),
		frame("up and down again", read(`{"id":"P1/../P2/labs"}`), 200, denied, "ceiling"),
		frame("up, escaped", read(`{"id":"P1/%2e%2e/P2"}`), 200, denied, "ceiling"),
		frame("up, the other slash", read(`{"id":"P1\\..\\P2"}`), 200, denied, "ceiling"),
		frame("cut by NUL", read(`{"id":"P1/labs\u0000.txt"}`), 200, denied, "ceiling"),
		frame("another mission", call(`{"name":"read","arguments":`+fits+`,"_meta":{"ambit/mission":"`+a.bound.ID()+`"}}`), 200, denied, "mandate"),
		frame("no mission", call(`{"name":"read","arguments":`+fits+`,"_meta":{"ambit/mission":"any"}}`), 200, params, "mission"),
	})
	for _, h := range []string{"Authorization", "Dpop", "Cookie"} {
		if v := a.up.header(h); len(v) > 0 {
			t.Errorf("the upstream has seen %s: %v", h, v)
		}
	}
	if v := a.up.header("X-Api-Key"); len(v) == 0 || v[0] != injected {
		t.Errorf("the upstream has seen X-Api-Key: %v", v)
	}
}

func TestPresenters(t *testing.T) {
	a := newArena(t)
	header := func(name, key, value string, status int, says string) attack {
		return attack{name: name, change: func(r *http.Request) { r.Header.Set(key, value) }, status: status, says: says}
	}
	token := func(name, value, says string) attack {
		x := header(name, "Authorization", value, 401, says)
		x.code = -32000
		return x
	}
	presents := func(name string, h http.Header, says string) attack {
		x := token(name, h.Get("Authorization"), says)
		x.change = func(r *http.Request) {
			r.Header.Set("Authorization", h.Get("Authorization"))
			r.Header["Dpop"] = h["Dpop"]
		}
		return x
	}
	here := a.issuer + "/mcp/notes"
	bound := a.bind("POST", here)
	replayed := a.bind("POST", here)
	first := a.good()
	first.Header["Authorization"], first.Header["Dpop"] = replayed["Authorization"], replayed["Dpop"]
	if status, body := a.send(first); status != http.StatusOK || !strings.Contains(body, "done") {
		t.Fatalf("a bound call is not allowed: %d %s", status, body)
	}
	mixed := http.Header{"Authorization": {"DPoP " + a.token}, "Dpop": a.bind("POST", here)["Dpop"]}
	unproven := http.Header{"Authorization": bound["Authorization"]}
	asBearer := http.Header{"Authorization": {"Bearer " + strings.TrimPrefix(bound.Get("Authorization"), "DPoP ")}, "Dpop": bound["Dpop"]}
	parts := strings.Split(a.token, ".")
	rewrite := func(header string) string {
		return "Bearer " + base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1] + "."
	}
	own, err := newKey(t).Sign("at+jwt", claims(t, a.token))
	must(t, err)
	login, err := a.admin.Key.Sign("at+jwt", claims(t, a.token))
	must(t, err)

	a.run(t, []attack{
		{name: "nobody", change: func(r *http.Request) { r.Header.Del("Authorization") }, status: 401, code: -32000},
		token("another scheme", "Basic YWRtaW46YWRtaW4=", ""),
		token("no token", "Bearer x", ""),
		token("changed signature", "Bearer "+parts[0]+"."+parts[1]+"."+flip(parts[2]), ""),
		token("changed claims", "Bearer "+parts[0]+"."+flip(parts[1])+"."+parts[2], ""),
		token("unsigned", rewrite(`{"alg":"none","typ":"at+jwt"}`), ""),
		token("another type", rewrite(`{"alg":"ES256","typ":"JWT"}`)+parts[2], ""),
		token("another issuer's key", "Bearer "+own, ""),
		token("a person's key", "Bearer "+login, ""),
		token("for another server", "Bearer "+a.other, ""),
		token("a person's own token", "Bearer "+a.persons, ""),
		presents("bound, as bearer", asBearer, ""),
		presents("bound, without proof", unproven, ""),
		presents("bound, proof of another URL", a.bind("POST", a.issuer+"/mcp/other"), "htu"),
		presents("bound, proof of another method", a.bind("GET", here), "htm"),
		presents("bound, proof used before", replayed, "used"),
		presents("bearer, with another's proof", mixed, ""),
		{name: "two proofs", change: func(r *http.Request) {
			h := a.bind("POST", here)
			r.Header["Authorization"], r.Header["Dpop"] = h["Authorization"], []string{h.Get("Dpop"), h.Get("Dpop")}
		}, status: 400, code: -32600},
		{name: "two tokens", change: func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+a.token) }, status: 400, code: -32600},
		{name: "token in the query", change: func(r *http.Request) { r.URL.RawQuery = "access_token=" + a.token }, status: 400, code: -32600, says: "query"},
		{name: "too large", change: func(r *http.Request) { setBody(r, strings.Repeat(" ", 1<<20)+"{}") }, status: 413, code: -32000, recorded: true},
		{name: "too large, of no said length", change: func(r *http.Request) {
			setBody(r, strings.Repeat(" ", 1<<20)+"{}")
			r.ContentLength = -1
		}, status: 413, code: -32000, recorded: true},
		{name: "another host", change: func(r *http.Request) { r.Host = "ambit.example" }, status: 421, says: "host"},
		header("another origin", "Origin", "https://evil.example", 403, "origin"),
		header("origin null", "Origin", "null", 403, "origin"),
		{name: "not JSON", change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, status: 415, code: -32600},
		{name: "wants HTML", change: func(r *http.Request) { r.Header.Set("Accept", "text/html") }, status: 406, code: -32600},
		{name: "another revision", change: func(r *http.Request) { r.Header.Set("Mcp-Protocol-Version", "2024-11-05") }, status: 400, code: -32022},
		{name: "another method", change: func(r *http.Request) { r.Method = "PUT" }, status: 405},
	})
}

func TestPaths(t *testing.T) {
	a := newArena(t)
	var attacks []attack
	for path, status := range map[string]int{
		"/mcp": 404, "/mcp/": 404, "/mcp/notes/": 404, "/mcp//notes": 404, "/mcp/./notes": 404, "/mcp/other/../notes": 404,
		"/mcp/notes/tools": 404, "/mcp/notes%2Fx": 401, "/mcp/other%2F..%2Fnotes": 404, "/mcp/%2e%2e/notes": 404, "/mcp/NOTES": 401,
		"/mcp/notes%00": 401, "/mcp/notes%20": 401, "/mcp/notes;x": 401, "/mcp/no%EF%BD%94es": 401, "/mcp/nothing": 401,
		"/api/v1/whoami": 405, "/api/v1/missions/" + a.weak.ID(): 405, "/mcp/" + strings.Repeat("n", 3<<10): 414,
	} {
		attacks = append(attacks, attack{name: path[:min(len(path), 40)], status: status, code: map[int]int{401: -32000}[status], change: func(r *http.Request) {
			u, err := url.Parse(a.issuer + path)
			must(a.t, err)
			r.URL = u
		}})
	}
	// The same server in other letters is the same server, to the bearer of a
	// token for it; a proof of possession is for a URL byte by byte.
	attacks = append(attacks, attack{name: "escaped without need", status: 401, code: -32000, says: "htu", change: func(r *http.Request) {
		h := a.bind("POST", a.issuer+"/mcp/notes")
		r.Header["Authorization"], r.Header["Dpop"] = h["Authorization"], h["Dpop"]
		u, err := url.Parse(a.issuer + "/mcp/%6eotes")
		must(a.t, err)
		r.URL = u
	}})
	// An agent does not administer, by whatever method.
	for _, call := range []string{"GET /api/v1/whoami", "POST /api/v1/apply", "POST /api/v1/missions:draft", "POST /api/v1/relations:write",
		"POST /api/v1/revoke", "GET /api/v1/missions/" + a.bound.ID() + "/bundle", "GET /api/v1/missions/" + a.weak.ID()} {
		attacks = append(attacks, attack{name: call, status: 401, change: func(r *http.Request) {
			method, path, _ := strings.Cut(call, " ")
			u, err := url.Parse(a.issuer + path)
			must(a.t, err)
			r.Method, r.URL = method, u
			setBody(r, map[string]string{"/api/v1/apply": `{"document":{}}`, "/api/v1/missions:draft": `{}`, "/api/v1/relations:write": `{}`,
				"/api/v1/revoke": `{"node":"` + a.bound.ID() + `"}`}[path])
		}})
	}
	a.run(t, attacks)
}

// TestExchanges presents what was signed for something else, or before, to the
// token endpoint.
func TestExchanges(t *testing.T) {
	a := newArena(t)
	ask := func(form url.Values) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", a.issuer+"/oauth/token", strings.NewReader(form.Encode()))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		var answer struct{ Error string }
		must(t, json.NewDecoder(res.Body).Decode(&answer))
		return res.StatusCode, answer.Error
	}
	if status, code := ask(a.request(true)); status == http.StatusOK || code == "" {
		t.Errorf("a token request that was seen can be sent again: %d", status)
	}
	for name, change := range map[string]func(url.Values){
		"no actor":           func(f url.Values) { f.Del("actor_token") },
		"no client":          func(f url.Values) { f.Del("client_assertion") },
		"another client":     func(f url.Values) { f.Set("client_id", "agt_00000000000000000000000000") },
		"an actor as client": func(f url.Values) { f.Set("client_assertion", f.Get("actor_token")) },
		"a client as actor":  func(f url.Values) { f.Set("actor_token", f.Get("client_assertion")) },
		"a person's token":   func(f url.Values) { f.Set("subject_token", a.persons) },
		"the API":            func(f url.Values) { f.Set("resource", a.issuer+"/api") },
		"no resource":        func(f url.Values) { f.Del("resource") },
		"two resources":      func(f url.Values) { f.Add("resource", a.issuer+"/mcp/other") },
		"a server elsewhere": func(f url.Values) { f.Set("resource", "https://evil.example/mcp/notes") },
		"an unknown server":  func(f url.Values) { f.Set("resource", a.issuer+"/mcp/nothing") },
		"an unknown grant":   func(f url.Values) { f.Set("grant_type", "client_credentials") },
	} {
		t.Run(name, func(t *testing.T) {
			form := a.request(false)
			change(form)
			if status, code := ask(form); status == http.StatusOK || code == "" {
				t.Errorf("%d, error %q", status, code)
			}
		})
	}
	if status, code := ask(a.request(false)); status != http.StatusOK {
		t.Errorf("what these began as is refused: %d %s", status, code)
	}
}

// request returns the form by which the weak agent takes its mission, as a thief
// of its requests has it, before or after it was sent.
func (a *arena) request(sent bool) url.Values {
	a.t.Helper()
	a.thief.keep = !sent
	_, err := a.weak.agent.Take(a.t.Context(), a.weak.statement, "notes")
	if sent != (err == nil) {
		a.t.Fatal(err)
	}
	form, err := url.ParseQuery(a.thief.body)
	must(a.t, err)
	return form
}

// claims are the claims of a token, as anybody can read them.
func claims(t *testing.T, token string) (c map[string]any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	must(t, json.Unmarshal(b, &c))
	return c
}

// flip changes one character of a base64url text to another one.
func flip(s string) string {
	i := len(s) / 2
	c := "A"
	if s[i] == 'A' {
		c = "B"
	}
	return s[:i] + c + s[i+1:]
}

var errSpied = errors.New("the request was seen and not sent")

// A spy stands before an agent: it takes note of what the agent sends, and sends
// only token requests, unless it is to keep them too.
type spy struct {
	seen *http.Request
	body string
	keep bool
}

func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.seen = r
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.body, r.Body = string(b), io.NopCloser(bytes.NewReader(b))
	}
	if s.keep || r.URL.Path != "/oauth/token" {
		return nil, errSpied
	}
	return http.DefaultTransport.RoundTrip(r)
}
