package credential_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/ambit-iam/ambit/internal/core/credential"
)

// FuzzOpen holds Open against go-jose: whatever Open accepts, go-jose accepts
// with the same payload. (Not the reverse: Open is stricter.)
func FuzzOpen(f *testing.F) {
	k := newKey(f)
	good := sign(f, k, map[string]any{"typ": "at+jwt", "kid": k.jkt}, map[string]any{"a": 1})
	f.Add(good)
	for _, bad := range malleate(good) {
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		got, err := credential.Open(compact, "at+jwt", func(kid string) *ecdsa.PublicKey { return &k.private.PublicKey })
		if err != nil {
			return
		}
		j, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatalf("go-jose does not parse what Open accepted: %v", err)
		}
		want, err := j.Verify(&k.private.PublicKey)
		if err != nil || string(want) != string(got) {
			t.Fatalf("go-jose: %q %v, Open: %q", want, err, got)
		}
	})
}

// FuzzAccess: whatever parses mints again to a token that parses to itself.
func FuzzAccess(f *testing.F) {
	for _, tok := range []credential.Token{direct("j"), delegated("")} {
		b, err := tok.Claims()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"iss":"https://ambit.test","act":{"act":{"act":{}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := credential.ParseAccess(b, issuer, now)
		if err != nil {
			return
		}
		c, err := tok.Claims()
		if err != nil {
			t.Fatalf("accepted, but cannot be minted: %v", err)
		}
		if _, err := credential.ParseAccess(c, issuer, now); err != nil {
			t.Fatalf("minted, but not accepted: %v", err)
		}
	})
}

// FuzzAssertion and FuzzProof: no input without the private key passes, and none
// panics.
func FuzzAssertion(f *testing.F) {
	k := newKey(f)
	f.Add(credential.ActorType, `{"alg":"ES256","typ":"ambit-actor+jwt","jwk":`+string(k.jwk)+`}`, `{"iss":"a","sub":"a"}`)
	f.Add(credential.ClientType, `{"alg":"ES256","typ":"client-authentication+jwt","kid":"x"}`, `{"iat":1e400}`)
	f.Fuzz(func(t *testing.T, typ, header, claims string) {
		compact := encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 64))
		if _, err := credential.CheckAssertion(compact, typ, issuer, now, func(string, string) []byte { return k.jwk }); err == nil {
			t.Fatal("accepted without a signature")
		}
		if _, err := credential.CheckNewcomer(compact, issuer, now); err == nil {
			t.Fatal("accepted without a signature")
		}
	})
}

func FuzzProof(f *testing.F) {
	k := newKey(f)
	b, _ := json.Marshal(map[string]any{"jti": "1", "htm": "POST", "htu": here, "iat": now.Unix()})
	f.Add(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+string(k.jwk)+`}`, string(b))
	f.Fuzz(func(t *testing.T, header, claims string) {
		p := credential.Presented{Method: "POST", URL: here, Proof: encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(make([]byte, 64))}
		if _, err := credential.CheckProof(p, "", now); err == nil {
			t.Fatal("accepted without a signature")
		}
	})
}

func BenchmarkAccess(b *testing.B) {
	v, k := verifier(b), newKey(b)
	token := issue(b, v, delegated(k.jkt))
	p := credential.Presented{Scheme: "DPoP", Token: token, Method: "POST", URL: here, Proof: proofOf(b, k, token)}
	b.Run("proof", func(b *testing.B) {
		for b.Loop() {
			if _, err := credential.CheckProof(p, k.jkt, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	bearer := credential.Presented{Scheme: "Bearer", Token: issue(b, v, delegated("")), Method: "POST", URL: here}
	b.Run("cached token", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Access(bearer, here, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
