package credential_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

const issuer = "https://ambit.test"

var now = time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)

func uid(p principal.Prefix, n byte) principal.UID {
	return principal.Make(p, time.UnixMilli(1_700_000_000_000), [10]byte{9: n})
}

type key struct {
	private *ecdsa.PrivateKey
	jwk     []byte
	jkt     string
}

func newKey(t testing.TB) key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := proof.PublicJWK(&k.PublicKey)
	return key{k, jwk, proof.Hash(jwk)}
}

// sign makes a compact JWS with go-jose, so that what is verified here was made
// by another implementation. header members override: "alg" chooses the
// algorithm, everything else is put in the protected header.
func sign(t testing.TB, k key, header, claims map[string]any) string {
	t.Helper()
	alg := jose.ES256
	opts := (&jose.SignerOptions{})
	for name, v := range header {
		opts.WithHeader(jose.HeaderKey(name), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: k.private}, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func with(m map[string]any, pairs ...any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(out, pairs[i].(string))
		} else {
			out[pairs[i].(string)] = pairs[i+1]
		}
	}
	return out
}

// signer is a Signer of one key, as keyring is.
type signer struct {
	t testing.TB
	k key
}

func (s signer) SignJWT(typ string, claims []byte) (string, error) {
	var m map[string]any
	if err := json.Unmarshal(claims, &m); err != nil {
		return "", err
	}
	return sign(s.t, s.k, map[string]any{"typ": typ, "kid": s.k.jkt}, m), nil
}
func (s signer) KeySet() []byte { return nil }
func (s signer) VerifyJWT(typ, compact string) ([]byte, error) {
	return credential.Open(compact, typ, func(kid string) *ecdsa.PublicKey {
		if kid != s.k.jkt {
			return nil
		}
		return &s.k.private.PublicKey
	})
}

func wantCode(t *testing.T, err error, code credential.Code) {
	t.Helper()
	if !errors.Is(err, code) || fault.KindOf(err) != fault.Unauthenticated {
		t.Fatalf("got %v (%s), want a refusal with %s", err, fault.KindOf(err), code)
	}
}

func direct(jkt string) credential.Token {
	return credential.Token{ID: uid(principal.Key, 1), Issuer: issuer, Origin: uid(principal.User, 1), Client: uid(principal.User, 1),
		Audience: issuer + "/api", Issued: now.Truncate(time.Second), Expiry: now.Truncate(time.Second).Add(5 * time.Minute), JKT: jkt}
}

func delegated(jkt string) credential.Token {
	t := direct(jkt)
	t.Client, t.Audience = uid(principal.Agent, 2), issuer+"/mcp/records"
	t.Mission, t.AuthorityHash, t.Txn = uid(principal.Mission, 1), "hash", uid(principal.Run, 1)
	t.Hop, t.Parent, t.Root, t.Depth, t.MaxDepth = uid(principal.Hop, 2), uid(principal.Hop, 1), uid(principal.Hop, 1), 2, 12
	t.Actors = []principal.UID{uid(principal.Agent, 2), uid(principal.Agent, 1)}
	t.Authority = authority.Set{{Type: authority.MCPTool, Server: string(uid(principal.Server, 1)), Actions: []string{"read"},
		Arguments: map[string]authority.Constraint{"patient": {Exact: &authority.Value{Raw: json.RawMessage(`"P1"`)}}}}}
	return t
}

func TestAccessTokenRoundTrip(t *testing.T) {
	for name, want := range map[string]credential.Token{"direct": direct(""), "bound": direct("jkt"), "delegated": delegated("jkt")} {
		b, err := want.Claims()
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := credential.ParseAccess(b, issuer, now)
		if err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	b, _ := delegated("k").Claims()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	act := m["act"].(map[string]any)
	if act["sub"] != string(uid(principal.Agent, 2)) || act["sub_profile"] != "ai_agent" || act["iss"] != issuer ||
		act["act"].(map[string]any)["sub"] != string(uid(principal.Agent, 1)) {
		t.Errorf("act = %v: want the acting agent outermost", act)
	}
	if _, isString := m["aud"].(string); !isString {
		t.Errorf("aud = %v: want one string", m["aud"])
	}
}

// Attacks 1, 3, 4 and 5 of the pitfalls: what is signed but not of our form.
func TestAccessClaimsRefused(t *testing.T) {
	base := func() map[string]any {
		b, err := delegated("jkt").Claims()
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, edit := range map[string]func(m map[string]any){
		"two audiences":        func(m map[string]any) { m["aud"] = []string{issuer + "/api", issuer} },
		"no audience":          func(m map[string]any) { delete(m, "aud") },
		"another issuer":       func(m map[string]any) { m["iss"] = issuer + "/" },
		"no expiry":            func(m map[string]any) { delete(m, "exp") },
		"too long":             func(m map[string]any) { m["exp"] = now.Unix() + 301 },
		"expired":              func(m map[string]any) { m["iat"], m["exp"] = now.Unix()-100, now.Unix() },
		"of the future":        func(m map[string]any) { m["iat"] = now.Unix() + 6 },
		"sub is an agent":      func(m map[string]any) { m["sub"] = uid(principal.Agent, 1) },
		"sub is a handle":      func(m map[string]any) { m["sub"] = "clinician" },
		"foreign actor":        func(m map[string]any) { m["act"].(map[string]any)["iss"] = "https://evil" },
		"actor removed":        func(m map[string]any) { delete(m["act"].(map[string]any), "act") },
		"other actor outside":  func(m map[string]any) { m["act"].(map[string]any)["sub"] = uid(principal.Agent, 9) },
		"user as actor":        func(m map[string]any) { m["act"].(map[string]any)["act"].(map[string]any)["sub"] = m["sub"] },
		"mission without hop":  func(m map[string]any) { delete(m, "dlg") },
		"hop without mission":  func(m map[string]any) { delete(m, "mission") },
		"deeper than allowed":  func(m map[string]any) { m["dlg"].(map[string]any)["max_depth"] = 1 },
		"root with a parent":   func(m map[string]any) { m["dlg"].(map[string]any)["depth"] = 1 },
		"empty confirmation":   func(m map[string]any) { m["cnf"] = map[string]any{"jkt": ""} },
		"client is the person": func(m map[string]any) { m["client_id"] = m["sub"] },
	} {
		m := base()
		edit(m)
		b, _ := json.Marshal(m)
		if _, err := credential.ParseAccess(b, issuer, now); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !errors.Is(err, credential.ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []string{"", "null", "[]", `{}`, `{"iss":"a","iss":"b"}`} {
		if _, err := credential.ParseAccess([]byte(s), issuer, now); err == nil {
			t.Errorf("%q: accepted", s)
		}
	}
}

func TestUnsoundTokenIsNotMinted(t *testing.T) {
	for name, edit := range map[string]func(*credential.Token){
		"long":              func(t *credential.Token) { t.Expiry = t.Issued.Add(301 * time.Second) },
		"direct agent":      func(t *credential.Token) { *t = direct(""); t.Client = uid(principal.Agent, 1) },
		"authority, no hop": func(t *credential.Token) { a := t.Authority; *t = direct(""); t.Authority = a },
		"zero":              func(t *credential.Token) { *t = credential.Token{} },
	} {
		tok := delegated("")
		edit(&tok)
		if _, err := tok.Claims(); fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAssertion(t *testing.T) {
	k, other := newKey(t), newKey(t)
	agent := string(uid(principal.Agent, 1))
	enrolled := func(sub, kid string) []byte {
		if sub == agent && kid == k.jkt {
			return k.jwk
		}
		return nil
	}
	header := map[string]any{"typ": credential.ClientType, "kid": k.jkt}
	claims := map[string]any{"iss": agent, "sub": agent, "aud": issuer, "iat": now.Unix(), "exp": now.Unix() + 60, "jti": "j1"}
	check := func(compact string) error {
		_, err := credential.CheckAssertion(compact, credential.ClientType, issuer, now, enrolled)
		return err
	}
	a, err := credential.CheckAssertion(sign(t, k, header, claims), credential.ClientType, issuer, now, enrolled)
	if err != nil {
		t.Fatal(err)
	}
	if a.Subject != agent || a.ID != "j1" || a.JKT != k.jkt || string(a.JWK) != string(k.jwk) || !a.Once().Expiry.After(a.Expiry) {
		t.Errorf("assertion = %+v", a)
	}
	for name, c := range map[string]struct {
		key    key
		header map[string]any
		claims map[string]any
	}{
		"typ of an actor token":    {k, with(header, "typ", credential.ActorType), claims},
		"typ in capitals":          {k, with(header, "typ", "Client-Authentication+JWT"), claims},
		"typ absent":               {k, with(header, "typ", nil), claims},
		"typ JWT":                  {k, with(header, "typ", "JWT"), claims},
		"kid of another key":       {k, with(header, "kid", other.jkt), claims},
		"kid absent":               {k, with(header, "kid", nil), claims},
		"signed by another key":    {other, header, claims},
		"jwk beside kid":           {k, with(header, "jwk", json.RawMessage(k.jwk)), claims},
		"jku":                      {k, with(header, "jku", "https://evil"), claims},
		"x5c":                      {k, with(header, "x5c", []string{"AA=="}), claims},
		"iss is not sub":           {k, header, with(claims, "iss", "agt_else")},
		"sub absent":               {k, header, with(claims, "iss", nil, "sub", nil)},
		"subject has no such key":  {k, header, with(claims, "iss", "someone", "sub", "someone")},
		"aud is an array":          {k, header, with(claims, "aud", []string{issuer})},
		"aud with a slash":         {k, header, with(claims, "aud", issuer+"/")},
		"aud is the endpoint":      {k, header, with(claims, "aud", issuer+"/oauth/token")},
		"aud absent":               {k, header, with(claims, "aud", nil)},
		"lives 61 s":               {k, header, with(claims, "exp", now.Unix()+61)},
		"no exp":                   {k, header, with(claims, "exp", nil)},
		"no iat":                   {k, header, with(claims, "iat", nil)},
		"exp before iat":           {k, header, with(claims, "exp", now.Unix(), "iat", now.Unix()+1)},
		"expired this second":      {k, header, with(claims, "iat", now.Unix()-60, "exp", now.Unix())},
		"six seconds ahead":        {k, header, with(claims, "iat", now.Unix()+6, "exp", now.Unix()+10)},
		"not before six s ahead":   {k, header, with(claims, "nbf", now.Unix()+6)},
		"iat is a string":          {k, header, with(claims, "iat", "1790000000")},
		"iat overflows":            {k, header, with(claims, "iat", 1e300)},
		"no jti":                   {k, header, with(claims, "jti", nil)},
		"jti too long to remember": {k, header, with(claims, "jti", strings.Repeat("j", 257))},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, check(sign(t, c.key, c.header, c.claims)), credential.ErrInvalidClient)
		})
	}
	good := sign(t, k, header, claims)
	for name, bad := range malleate(good) {
		t.Run(name, func(t *testing.T) { wantCode(t, check(bad), credential.ErrInvalidClient) })
	}
}

// malleate returns spellings of a valid JWS that are not its one spelling, and
// the classic confusions of algorithm (attack 19).
func malleate(good string) map[string]string {
	h, rest, _ := strings.Cut(good, ".")
	p, s, _ := strings.Cut(rest, ".")
	raw := func(json string) string { return encode([]byte(json)) }
	return map[string]string{
		"empty":              "",
		"two parts":          h + "." + p,
		"four parts":         good + ".",
		"five parts":         good + "..",
		"padded":             h + "=." + p + "." + s,
		"newline in a part":  h[:4] + "\n" + h[4:] + "." + p + "." + s,
		"trailing space":     good + " ",
		"alg none":           raw(`{"alg":"none"}`) + "." + p + ".",
		"alg HS256":          raw(`{"alg":"HS256","typ":"`+credential.ClientType+`","kid":"k"}`) + "." + p + "." + s,
		"header repeats alg": raw(`{"alg":"ES256","alg":"none"}`) + "." + p + "." + s,
		"crit":               raw(`{"alg":"ES256","typ":"`+credential.ClientType+`","kid":"k","crit":["b64"],"b64":false}`) + "." + p + "." + s,
		"signature is DER":   h + "." + p + "." + encode([]byte{0x30, 0x06, 2, 1, 1, 2, 1, 1}),
		"signature is zero":  h + "." + p + "." + encode(make([]byte, 64)),
		"too long":           good + strings.Repeat("A", 16<<10),
	}
}

func TestNewcomer(t *testing.T) {
	k, other := newKey(t), newKey(t)
	agent := string(uid(principal.Agent, 7))
	header := map[string]any{"typ": credential.ActorType, "jwk": json.RawMessage(k.jwk)}
	claims := map[string]any{"iss": agent, "sub": agent, "aud": issuer, "iat": now.Unix(), "exp": now.Unix() + 60, "jti": "j1"}
	a, err := credential.CheckNewcomer(sign(t, k, header, claims), issuer, now)
	if err != nil || a.JKT != k.jkt || a.Subject != agent {
		t.Fatal(a, err)
	}
	var private map[string]any
	b, _ := jose.JSONWebKey{Key: k.private}.MarshalJSON()
	_ = json.Unmarshal(b, &private)
	for name, h := range map[string]map[string]any{
		"no key":           {"typ": credential.ActorType, "kid": k.jkt},
		"another's key":    with(header, "jwk", json.RawMessage(other.jwk)),
		"private key":      with(header, "jwk", private),
		"kid of another":   with(header, "kid", other.jkt),
		"typ of a client":  with(header, "typ", credential.ClientType),
		"symmetric key":    with(header, "jwk", map[string]any{"kty": "oct", "k": "AAAA"}),
		"point off curve":  with(header, "jwk", json.RawMessage(strings.Replace(string(k.jwk), `"x":"`, `"x":"A`, 1))),
		"key is a string":  with(header, "jwk", string(k.jwk)),
		"key is not there": with(header, "jwk", json.RawMessage("null")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := credential.CheckNewcomer(sign(t, k, h, claims), issuer, now)
			wantCode(t, err, credential.ErrInvalidRequest)
		})
	}
}
