package oauth_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/face/oauth"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
)

const issuer = "https://ambit.test"

// issue is an Issuer that is one function.
type issue func(enforce.Exchange) (enforce.Issued, error)

func (f issue) Issue(_ context.Context, x enforce.Exchange) (enforce.Issued, error) { return f(x) }

type keys struct{ credential.Signer }

func (keys) KeySet() []byte { return []byte(`{"keys":[]}`) }

func face(t *testing.T, i issue) http.Handler {
	t.Helper()
	mux, err := route.New(route.Config{Issuer: issuer, Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	(&oauth.Face{Spine: i, Keys: keys{}, Mux: mux}).Mount()
	return mux
}

func post(h http.Handler, form string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", issuer+"/oauth/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func values(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestExchangeReachesTheSpineWhole(t *testing.T) {
	var got enforce.Exchange
	h := face(t, func(x enforce.Exchange) (enforce.Issued, error) {
		got = x
		return enforce.Issued{AccessToken: "tok", TokenType: "DPoP", IssuedTokenType: enforce.TypeAccessToken, ExpiresIn: 300,
			AuthorizationDetails: json.RawMessage(`[{"type":"mcp_tool"}]`), Mission: "msn_x", Hop: "hop_x"}, nil
	})
	w := post(h, values("grant_type", enforce.GrantTokenExchange, "client_id", "c", "client_assertion", "ca", "client_assertion_type", "cat",
		"subject_token", "st", "subject_token_type", "stt", "actor_token", "at", "actor_token_type", "att", "delegation", "d",
		"resource", issuer+"/mcp/records", "requested_token_type", enforce.TypeAccessToken, "unknown", "ignored", "scope", ""),
		func(r *http.Request) { r.Header.Set("DPoP", "proof") })
	want := enforce.Exchange{GrantType: enforce.GrantTokenExchange, ClientID: "c", ClientAssertion: "ca", ClientAssertionType: "cat",
		SubjectToken: "st", SubjectTokenType: "stt", ActorToken: "at", ActorTokenType: "att", Delegation: "d",
		Resource: issuer + "/mcp/records", Proof: enforce.Presented{Proof: "proof", Method: "POST", URL: issuer + "/oauth/token", Request: got.Proof.Request}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Proof.Request == "" || string(got.Proof.Request) != w.Header().Get("X-Request-ID") {
		t.Error("the proof does not know its request")
	}
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	body := `{"access_token":"tok","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"DPoP",` +
		`"expires_in":300,"authorization_details":[{"type":"mcp_tool"}],"mission":"msn_x","hop":"hop_x"}`
	if w.Body.String() != body {
		t.Errorf("%s", w.Body)
	}
}

func TestMalformedRequests(t *testing.T) {
	h := face(t, func(enforce.Exchange) (enforce.Issued, error) {
		t.Error("a malformed request reached the spine")
		return enforce.Issued{}, nil
	})
	grant := []string{"grant_type", enforce.GrantTokenExchange}
	for name, c := range map[string]struct {
		form string
		edit func(*http.Request)
		code string
	}{
		"no grant type":           {form: "", code: "invalid_request"},
		"another grant type":      {form: values("grant_type", "password"), code: "unsupported_grant_type"},
		"a parameter twice":       {form: values(append(grant, "actor_token", "a", "actor_token", "a")...), code: "invalid_request"},
		"an unknown one twice":    {form: values(append(grant, "x", "a", "x", "b")...), code: "invalid_request"},
		"two resources":           {form: values(append(grant, "resource", "a", "resource", "b")...), code: "invalid_target"},
		"audience":                {form: values(append(grant, "audience", "a")...), code: "invalid_target"},
		"scope":                   {form: values(append(grant, "scope", "read")...), code: "invalid_scope"},
		"details":                 {form: values(append(grant, "authorization_details", "[]")...), code: "invalid_authorization_details"},
		"refresh token wanted":    {form: values(append(grant, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")...), code: "invalid_request"},
		"JSON":                    {form: `{}`, edit: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, code: "invalid_request"},
		"no content type":         {form: values(grant...), edit: func(r *http.Request) { r.Header.Del("Content-Type") }, code: "invalid_request"},
		"in the query":            {form: values(grant...), edit: func(r *http.Request) { r.URL.RawQuery = "grant_type=x" }, code: "invalid_request"},
		"basic authentication":    {form: values(grant...), edit: func(r *http.Request) { r.SetBasicAuth("a", "b") }, code: "invalid_request"},
		"two proofs":              {form: values(grant...), edit: func(r *http.Request) { r.Header["Dpop"] = []string{"a", "b"} }, code: "invalid_request"},
		"not a form":              {form: "%zz", code: "invalid_request"},
		"a semicolon as splitter": {form: "grant_type=a;b=c", code: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			edit := c.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			w := post(h, c.form, edit)
			wantRefusal(t, w, 400, c.code)
		})
	}
	wantRefusal(t, post(h, values("grant_type", strings.Repeat("x", 65<<10))), 413, "invalid_request")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", issuer+"/oauth/token", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d %v", w.Code, w.Header())
	}
}

func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, code string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if w.Code != status || m["error"] != code || w.Header().Get("Cache-Control") != "no-store" || m["request_id"] == nil {
		t.Fatalf("%d %s, want %d %s", w.Code, w.Body, status, code)
	}
	return m
}

func TestRefusals(t *testing.T) {
	denied := &enforce.Denied{Decision: enforce.Decision{Outcome: "deny", Link: 1, Stage: "standing"}}
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"client":     {credential.Refuse(credential.ErrInvalidClient, "x"), 401, "invalid_client"},
		"grant":      {credential.Refuse(credential.ErrInvalidGrant, "x"), 400, "invalid_grant"},
		"proof":      {credential.Refuse(credential.ErrInvalidDPoPProof, "x"), 400, "invalid_dpop_proof"},
		"nonce":      {fault.Wrap(fault.Unauthenticated, &credential.NonceRequired{Nonce: "n"}, "x"), 400, "use_dpop_nonce"},
		"target":     {credential.Refuse(credential.ErrInvalidTarget, "x"), 400, "invalid_target"},
		"token":      {credential.Refuse(credential.ErrInvalidToken, "x"), 400, "invalid_grant"},
		"too wide":   {fault.New(fault.Denied, "x"), 400, "access_denied"},
		"decided":    {fault.Wrap(fault.Denied, denied, "x"), 400, "access_denied"},
		"used twice": {fault.New(fault.Unauthenticated, "x"), 400, "invalid_grant"},
		"stale":      {fault.New(fault.Unavailable, "x"), 503, "temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			h := face(t, func(enforce.Exchange) (enforce.Issued, error) { return enforce.Issued{}, c.err })
			w := post(h, values("grant_type", enforce.GrantJWTBearer))
			m := wantRefusal(t, w, c.status, c.code)
			if (m["decision"] != nil) != (name == "decided") {
				t.Errorf("decision = %v", m["decision"])
			}
			if w.Header().Get("WWW-Authenticate") != "" || (name == "nonce") != (w.Header().Get("DPoP-Nonce") == "n") {
				t.Errorf("%v", w.Header())
			}
		})
	}
	h := face(t, func(enforce.Exchange) (enforce.Issued, error) {
		return enforce.Issued{}, fault.New(fault.Internal, "secret detail")
	})
	w := post(h, values("grant_type", enforce.GrantJWTBearer))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDiscovery(t *testing.T) {
	h := face(t, nil)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", issuer+path, nil))
		return w
	}
	var m map[string]any
	w := get("/.well-known/oauth-authorization-server")
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m["issuer"] != issuer || m["token_endpoint"] != issuer+"/oauth/token" {
		t.Errorf("%s", w.Body)
	}
	if _, offered := m["code_challenge_methods_supported"]; offered || m["authorization_endpoint"] != nil {
		t.Error("metadata promises an authorization endpoint")
	}
	if w := get("/oauth/jwks"); w.Code != 200 || w.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := get("/.well-known/openid-configuration"); w.Code != 404 {
		t.Errorf("openid-configuration: %d", w.Code)
	}
}

func FuzzExchange(f *testing.F) {
	f.Add(values("grant_type", enforce.GrantTokenExchange, "resource", "x"))
	f.Add("a=%00&a=1;&&=")
	mux, err := route.New(route.Config{Issuer: issuer, Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	(&oauth.Face{Mux: mux, Keys: keys{}, Spine: issue(func(enforce.Exchange) (enforce.Issued, error) {
		return enforce.Issued{}, fault.New(fault.Denied, "no")
	})}).Mount()
	f.Fuzz(func(t *testing.T, form string) {
		if w := post(mux, form); w.Code != 400 && w.Code != 413 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
