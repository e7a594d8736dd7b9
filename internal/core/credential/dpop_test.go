package credential_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

const here = issuer + "/mcp/records"

func proofOf(t testing.TB, k key, token string, edit ...any) string {
	t.Helper()
	claims := map[string]any{"jti": "p1", "htm": "POST", "htu": here, "iat": now.Unix()}
	if token != "" {
		claims["ath"] = proof.Hash([]byte(token))
	}
	return sign(t, k, map[string]any{"typ": credential.ProofType, "jwk": json.RawMessage(k.jwk)}, with(claims, edit...))
}

func TestProof(t *testing.T) {
	k := newKey(t)
	p := credential.Presented{Scheme: "DPoP", Token: "tok", Method: "POST", URL: here}
	p.Proof = proofOf(t, k, "tok")
	got, err := credential.CheckProof(p, k.jkt, now)
	if err != nil || got.JKT != k.jkt || got.ID != "p1" {
		t.Fatal(got, err)
	}
	for name, bad := range map[string]string{
		"none":                 "",
		"another key":          proofOf(t, newKey(t), "tok"),
		"another method":       proofOf(t, k, "tok", "htm", "GET"),
		"method in lower case": proofOf(t, k, "tok", "htm", "post"),
		"another path":         proofOf(t, k, "tok", "htu", here+"2"),
		"htu with query":       proofOf(t, k, "tok", "htu", here+"?a=b"),
		"htu with fragment":    proofOf(t, k, "tok", "htu", here+"#f"),
		"htu of another host":  proofOf(t, k, "tok", "htu", "https://127.0.0.1/mcp/records"),
		"no ath":               proofOf(t, k, ""),
		"ath null":             proofOf(t, k, "", "ath", json.RawMessage("null")),
		"ath of another token": proofOf(t, k, "other"),
		"61 s old":             proofOf(t, k, "tok", "iat", now.Unix()-60),
		"6 s ahead":            proofOf(t, k, "tok", "iat", now.Unix()+6),
		"no iat":               proofOf(t, k, "tok", "iat", nil),
		"no jti":               proofOf(t, k, "tok", "jti", nil),
		"typ of a JWT":         sign(t, k, map[string]any{"typ": "JWT", "jwk": json.RawMessage(k.jwk)}, map[string]any{"jti": "1"}),
		"no key":               sign(t, k, map[string]any{"typ": credential.ProofType, "kid": k.jkt}, map[string]any{"jti": "1"}),
		"tampered":             proofOf(t, k, "tok")[:40] + "AAAA" + proofOf(t, k, "tok")[44:],
	} {
		t.Run(name, func(t *testing.T) {
			q := p
			q.Proof = bad
			_, err := credential.CheckProof(q, k.jkt, now)
			wantCode(t, err, credential.ErrInvalidDPoPProof)
		})
	}
	p.Token = ""
	if _, err := credential.CheckProof(p, "", now); err == nil {
		t.Error("a proof made for a token was accepted without one")
	}
	p.Proof = proofOf(t, k, "", "iat", float64(now.UnixMilli())/1000)
	if _, err := credential.CheckProof(p, "", now); err != nil {
		t.Error("an iat with a fraction was refused:", err)
	}
}

func verifier(t testing.TB) credential.Verifier {
	return credential.Verifier{Issuer: issuer, Tokens: signer{t, newKey(t)}, Cache: credential.NewCache(128),
		Replay: credential.NewReplay(1024, time.Time{}, "")}
}

func issue(t testing.TB, v credential.Verifier, tok credential.Token) string {
	t.Helper()
	c, err := tok.Claims()
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Tokens.SignJWT(credential.AccessTokenType, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Attacks 4, 5, 14 and 19: what a stolen or confused token is worth.
func TestPresentedToken(t *testing.T) {
	v, k := verifier(t), newKey(t)
	bound, bearer := issue(t, v, delegated(k.jkt)), issue(t, v, delegated(""))
	aud := issuer + "/mcp/records"
	n := 0
	present := func(scheme, token, proof string) credential.Presented {
		return credential.Presented{Scheme: scheme, Token: token, Proof: proof, Method: "POST", URL: here}
	}
	fresh := func(k key, token string) string {
		n++
		return proofOf(t, k, token, "jti", fmt.Sprint("n", n))
	}
	for i := range 2 { // the second time from the cache
		if got, err := v.Access(present("DPoP", bound, fresh(k, bound)), aud, now); err != nil || got.Hop != delegated("").Hop || got.Bound() != "dpop" {
			t.Fatal(i, got, err)
		}
		if got, err := v.Access(present("Bearer", bearer, ""), aud, now); err != nil || got.Bound() != "bearer" {
			t.Fatal(i, got, err)
		}
	}
	wrongType, _ := v.Tokens.SignJWT("JWT", must(delegated("").Claims()))
	once := fresh(k, bound)
	if _, err := v.Access(present("DPoP", bound, once), aud, now); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    credential.Presented
		aud  string
		at   time.Time
		code credential.Code
	}{
		"bound token as Bearer":         {present("Bearer", bound, ""), aud, now, credential.ErrInvalidToken},
		"bound token as Bearer, proof":  {present("Bearer", bound, fresh(k, bound)), aud, now, credential.ErrInvalidToken},
		"bound token without proof":     {present("DPoP", bound, ""), aud, now, credential.ErrInvalidDPoPProof},
		"bound token, another's proof":  {present("DPoP", bound, fresh(newKey(t), bound)), aud, now, credential.ErrInvalidDPoPProof},
		"proof replayed":                {present("DPoP", bound, once), aud, now, credential.ErrInvalidDPoPProof},
		"bearer token as DPoP":          {present("DPoP", bearer, fresh(k, bearer)), aud, now, credential.ErrInvalidToken},
		"bearer token with a proof":     {present("Bearer", bearer, fresh(k, bearer)), aud, now, credential.ErrInvalidToken},
		"no scheme":                     {present("", bearer, ""), aud, now, credential.ErrInvalidToken},
		"another audience":              {present("Bearer", bearer, ""), issuer + "/mcp/records2", now, credential.ErrInvalidToken},
		"audience is a prefix":          {present("Bearer", bearer, ""), issuer + "/mcp/record", now, credential.ErrInvalidToken},
		"no audience asked":             {present("Bearer", bearer, ""), "", now, credential.ErrInvalidToken},
		"typ JWT":                       {present("Bearer", wrongType, ""), aud, now, credential.ErrInvalidToken},
		"a proof as token":              {present("Bearer", once, ""), aud, now, credential.ErrInvalidToken},
		"another server's token":        {present("Bearer", issue(t, verifier(t), delegated("")), ""), aud, now, credential.ErrInvalidToken},
		"cached token, expired":         {present("Bearer", bearer, ""), aud, now.Add(5 * time.Minute), credential.ErrInvalidToken},
		"cached token, before its time": {present("Bearer", bearer, ""), aud, now.Add(-time.Minute), credential.ErrInvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Access(c.p, c.aud, c.at)
			wantCode(t, err, c.code)
		})
	}
	if _, err := v.Access(present("", "", ""), aud, now); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("nothing presented: %v", err)
	}
	if got, err := v.Subject(bound, now); err != nil || got.JKT != k.jkt {
		t.Errorf("subject: %v", err)
	}
	_, err := v.Subject("x.y.z", now)
	wantCode(t, err, credential.ErrInvalidRequest)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestReplay(t *testing.T) {
	r := credential.NewReplay(64*2, time.Time{}, "")
	p := credential.Proof{ID: "a", JKT: "k", Issued: now}
	if err := r.Use(p, now); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.Use(p, now.Add(60*time.Second)), credential.ErrInvalidDPoPProof)
	same := credential.Proof{ID: "of a request", JKT: "k", Issued: now, Request: uid("req", 1)}
	for range 2 { // one request may be verified twice on its way
		if err := r.Use(same, now); err != nil {
			t.Fatal(err)
		}
	}
	same.Request = uid("req", 2)
	wantCode(t, r.Use(same, now), credential.ErrInvalidDPoPProof)
	other := p
	other.JKT = "k2"
	if err := r.Use(other, now); err != nil {
		t.Error("the same jti of another key was refused:", err)
	}
	// The clock runs on, the proof is forgotten, the clock steps back.
	if err := r.Use(credential.Proof{ID: "b", JKT: "k", Issued: now.Add(10 * time.Minute)}, now.Add(10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i := range 4096 { // some other proof of every shard moves its clock
		_ = r.Use(credential.Proof{ID: fmt.Sprint(i), JKT: "k", Issued: now.Add(10 * time.Minute)}, now.Add(10*time.Minute))
	}
	wantCode(t, r.Use(p, now), credential.ErrInvalidDPoPProof)
	// Full refuses, and makes room when what it holds is over.
	full := r.Use(credential.Proof{ID: "one more", JKT: "k", Issued: now.Add(10 * time.Minute)}, now.Add(10*time.Minute))
	if fault.KindOf(full) != fault.Unavailable {
		t.Errorf("full: %v", full)
	}
	later := now.Add(12 * time.Minute)
	if err := r.Use(credential.Proof{ID: "later", JKT: "k", Issued: later}, later); err != nil {
		t.Error("no room after everything expired:", err)
	}
}

func TestReplayAfterRestart(t *testing.T) {
	boot := now
	r := credential.NewReplay(1024, boot, "n1")
	old := credential.Proof{ID: "a", JKT: "k", Issued: boot.Add(-time.Second)}
	err := r.Use(old, boot.Add(time.Second))
	wantCode(t, err, credential.ErrUseNonce)
	nonce, ok := errors.AsType[*credential.NonceRequired](err)
	if !ok || nonce.DPoPNonce() != "n1" {
		t.Fatalf("no nonce in %v", err)
	}
	// A clock that runs ahead makes an old proof look new.
	wantCode(t, r.Use(credential.Proof{ID: "b", JKT: "k", Issued: boot.Add(4 * time.Second)}, boot), credential.ErrUseNonce)
	wantCode(t, r.Use(credential.Proof{ID: "b", JKT: "k", Issued: boot, Nonce: "of the last boot"}, boot), credential.ErrUseNonce)
	if err := r.Use(credential.Proof{ID: "c", JKT: "k", Issued: boot, Nonce: "n1"}, boot); err != nil {
		t.Error("a proof with this boot's nonce:", err)
	}
	if err := r.Use(credential.Proof{ID: "d", JKT: "k", Issued: boot.Add(6 * time.Second)}, boot.Add(6*time.Second)); err != nil {
		t.Error("a proof made after boot:", err)
	}
}

func TestReplayIsAtomic(t *testing.T) {
	r := credential.NewReplay(1<<16, time.Time{}, "")
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				if r.Use(credential.Proof{ID: fmt.Sprint(i), JKT: "k", Issued: now}, now) == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 500 {
		t.Errorf("%d of 500 proofs passed among 8 callers of each", passed.Load())
	}
}

func TestCacheIsBounded(t *testing.T) {
	v := verifier(t)
	v.Cache = credential.NewCache(1)
	for i := range 200 {
		tok := direct("")
		tok.ID = uid("key", byte(i))
		p := credential.Presented{Scheme: "Bearer", Token: issue(t, v, tok)}
		if _, err := v.Access(p, issuer+"/api", now); err != nil {
			t.Fatal(err)
		}
	}
	if n := v.Cache.Len(); n > 64 {
		t.Errorf("%d tokens remembered, one to a shard wanted", n)
	}
}
