package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/proof/authority"
)

// The key of RFC 7515 appendix A.3, and its example.
const (
	rfcJWK     = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	rfcPrivate = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
	rfcInput   = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rfcSig     = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)

// testKey returns the key whose scalar is the hash of name.
func testKey(name string) *ecdsa.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		panic(err)
	}
	return key
}

func testJWK(name string) []byte { return PublicJWK(&testKey(name).PublicKey) }
func testJKT(name string) string { return Hash(testJWK(name)) }

func TestJWK(t *testing.T) {
	key, err := ParseJWK([]byte(rfcJWK))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`; string(PublicJWK(key)) != want {
		t.Errorf("got %s", PublicJWK(key))
	}
	// RFC 9449 section 4.2 and 6.1: the example DPoP key and its thumbprint.
	const dpop = `{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}`
	if got, err := Thumbprint([]byte(dpop)); got != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" {
		t.Errorf("thumbprint %s, %v", got, err)
	}
	// The example signature of RFC 7515 verifies with what was parsed.
	sig, _ := b64.DecodeString(rfcSig)
	sum := sha256.Sum256([]byte(rfcInput))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Error("RFC 7515 A.3 does not verify")
	}
	if got := PublicJWK(nil); got != nil {
		t.Errorf("a JWK of no key: %s", got)
	}
}

func TestParseJWKRefuses(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(rfcJWK, old, new, 1) }
	for name, in := range map[string]string{
		"private":    edit(`{`, `{"d":"`+rfcPrivate+`",`),
		"RSA":        edit(`"EC"`, `"RSA"`),
		"P-384":      edit(`P-256`, `P-384`),
		"off curve":  edit(`x_F`, `x_G`),
		"short":      edit(`f83O`, ``),
		"padded":     edit(`VEU"`, `VEU="`),
		"line end":   edit(`f83O`, `f83\n`),
		"stray bits": edit(`VEU"`, `VEV"`),
		"repeated":   edit(`{`, `{"x":"AA",`),
		"case":       edit(`"x"`, `"X"`),
		"array":      `[]`,
		"null":       `null`,
		"nothing":    ``,
	} {
		if _, err := ParseJWK([]byte(in)); err == nil {
			t.Errorf("%s: accepted %s", name, in)
		}
	}
}

func sampleStatement() Statement {
	calls := int64(40)
	return Statement{Issuer: "usr_c", Subject: "agt_a", Audience: "https://ambit.example", ID: "hop_1", IssuedAt: 1_793_000_000,
		Expiry: 1_793_003_600, Mission: "msn_m", Blueprint: "bpr_a", Depth: 1, Confirm: Confirm{JKT: testJKT("assistant")},
		Authority: reads("P1"), Limits: authority.Limits{Calls: &calls}, Nonce: b64.EncodeToString(make([]byte, 16)),
		Intent: "draft the <discharge> note", Context: "ctx_e", Rooted: "user", OnLimit: "ask"}
}

// reads is an authority to read and write one patient's notes.
func reads(patient string, more ...string) authority.Set {
	v := authority.StringValue(patient)
	return authority.Set{{Type: authority.MCPTool, Server: "srv_r", Actions: append([]string{"read"}, more...),
		Arguments: map[string]authority.Constraint{"patient": {Exact: &v}}}}
}

func TestStatement(t *testing.T) {
	s, key := sampleStatement(), testKey("clinician")
	compact, err := SignStatement(s, key)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := SignStatement(s, key); again != compact {
		t.Error("signing is not deterministic")
	}
	parsed, kid, err := ParseStatement(compact)
	if err != nil || kid != testJKT("clinician") {
		t.Fatalf("kid %s, %v", kid, err)
	}
	verified, err := VerifyStatement(compact, testJWK("clinician"))
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []Statement{parsed, verified} {
		if diff := cmp.Diff(s, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := VerifyStatement(compact, testJWK("assistant")); err == nil {
		t.Error("verified with another key")
	}
	empty := s
	empty.Authority = nil
	if compact, err = SignStatement(empty, key); err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyStatement(compact, testJWK("clinician")); err != nil || len(got.Authority) != 0 {
		t.Errorf("%+v, %v", got.Authority, err)
	}
}

// Another encoder may order and space as it likes; it is the same statement
// with another commitment.
func TestStatementOfAnotherMaker(t *testing.T) {
	key := testKey("clinician")
	claims, _ := json.MarshalIndent(sampleStatement(), "", "  ")
	head := `{"typ":"` + StatementType + `", "alg":"ES256", "kid":"` + testJKT("clinician") + `"}`
	if _, err := VerifyStatement(signRaw(head, string(claims), key), testJWK("clinician")); err != nil {
		t.Error(err)
	}
}

// signRaw makes a JWS of any header and claims.
func signRaw(head, claims string, key *ecdsa.PrivateKey) string {
	input := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(zeroes{}, key, sum[:])
	if err != nil {
		panic(err)
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return input + "." + b64.EncodeToString(raw[:])
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestStatementRefusesForms(t *testing.T) {
	key, kid := testKey("clinician"), testJKT("clinician")
	good := `{"alg":"ES256","kid":"` + kid + `","typ":"` + StatementType + `"}`
	raw, err := sampleStatement().claims()
	if err != nil {
		t.Fatal(err)
	}
	claims := string(raw)
	compact := signRaw(good, claims, key)
	if _, err := VerifyStatement(compact, testJWK("clinician")); err != nil {
		t.Fatal(err)
	}
	head := func(old, new string) string { return signRaw(strings.Replace(good, old, new, 1), claims, key) }
	body := func(old, new string) string {
		if !strings.Contains(claims, old) {
			t.Fatalf("no %s in %s", old, claims)
		}
		return signRaw(good, strings.Replace(claims, old, new, 1), key)
	}
	for name, in := range map[string]string{
		"none":            head(`ES256`, `none`),
		"HS256":           head(`ES256`, `HS256`),
		"no alg":          head(`"alg":"ES256",`, ``),
		"crit":            head(`{`, `{"crit":["exp"],`),
		"jwk":             head(`{`, `{"jwk":`+rfcJWK+`,`),
		"b64":             head(`{`, `{"b64":false,`),
		"typ case":        head(`hop+jwt`, `hop+JWT`),
		"typ of a token":  head(StatementType, `at+jwt`),
		"typ application": head(StatementType, `application/`+StatementType),
		"no kid":          head(`"kid":"`+kid+`",`, ``),
		"kid no hash":     head(kid, `key-1`),
		"two algs":        head(`{`, `{"alg":"none",`),
		"header array":    signRaw(`[]`, claims, key),
		"two parts":       compact[:strings.LastIndexByte(compact, '.')],
		"four parts":      compact + ".AA",
		"no signature":    compact[:strings.LastIndexByte(compact, '.')+1],
		"padding":         compact + "==",
		"line end":        strings.Replace(compact, ".", ".\n", 1),
		"JSON form":       `{"payload":"e30","signatures":[]}`,
		"unknown claim":   body(`"mission"`, `"misc":1,"mission"`),
		"repeated claim":  body(`"mission"`, `"mission":"msn_x","mission"`),
		"claim case":      body(`"exp"`, `"Exp"`),
		"empty claim":     body(`"mission"`, `"parent":"","mission"`),
		"null authority":  body(claims[strings.Index(claims, `"authority":`):strings.Index(claims, `,"blueprint"`)], `"authority":null`),
		"unknown limit":   body(`"calls"`, `"hops":1,"calls"`),
		"wrong type":      body(`"depth":1`, `"depth":"1"`),
		"great":           body(`draft`, strings.Repeat("x", MaxStatement)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := ParseStatement(in); err == nil {
				t.Error("parsed")
			}
			if _, err := VerifyStatement(in, testJWK("clinician")); err == nil {
				t.Error("verified")
			}
		})
	}
}

func TestStatementRefusesContent(t *testing.T) {
	key := testKey("clinician")
	for name, edit := range map[string]func(*Statement){
		"agent as root":     func(s *Statement) { s.Issuer = "agt_x" },
		"delegate no agent": func(s *Statement) { s.Subject = "usr_d" },
		"no id":             func(s *Statement) { s.ID = "" },
		"no mission":        func(s *Statement) { s.Mission = "" },
		"no blueprint":      func(s *Statement) { s.Blueprint = "" },
		"no audience":       func(s *Statement) { s.Audience = "" },
		"audience no URL":   func(s *Statement) { s.Audience = "ambit.example" },
		"no expiry":         func(s *Statement) { s.Expiry = 0 },
		"ends as it begins": func(s *Statement) { s.Expiry = s.IssuedAt },
		"endless":           func(s *Statement) { s.Expiry = 1 << 60 },
		"root of depth 2":   func(s *Statement) { s.Depth = 2 },
		"child of depth 1":  func(s *Statement) { s.Parent = Hash(nil); s.Issuer = "agt_b" },
		"no key":            func(s *Statement) { s.Confirm.JKT = "" },
		"no nonce":          func(s *Statement) { s.Nonce = "" },
		"short nonce":       func(s *Statement) { s.Nonce = s.Nonce[:20] },
		"rooted nowhere":    func(s *Statement) { s.Rooted = "" },
		"unknown onLimit":   func(s *Statement) { s.OnLimit = "allow" },
		"bad authority":     func(s *Statement) { s.Authority = authority.Set{{Type: "shell"}} },
		"bad limit":         func(s *Statement) { n := int64(-1); s.Limits.Calls = &n },
		"child with intent": func(s *Statement) {
			s.Parent, s.Issuer, s.Depth, s.Rooted, s.OnLimit, s.Context = Hash(nil), "agt_b", 2, "", "", ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sampleStatement()
			edit(&s)
			if _, err := SignStatement(s, key); err == nil {
				t.Error("signed")
			}
			raw, err := s.claims()
			if err != nil {
				return // cannot even be written
			}
			if _, err := VerifyStatement(signRaw(string(header(testJKT("clinician"))), string(raw), key), testJWK("clinician")); err == nil {
				t.Error("verified")
			}
		})
	}
}

func FuzzParseStatement(f *testing.F) {
	compact, err := SignStatement(sampleStatement(), testKey("clinician"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(compact)
	f.Add("e30.e30.AA")
	f.Fuzz(func(t *testing.T, in string) {
		s, kid, err := ParseStatement(in)
		if err != nil {
			return
		}
		if err := s.validate(); err != nil || !isHash(kid) {
			t.Fatalf("parsed, and is not valid: %v", err)
		}
		if strings.Count(in, ".") != 2 || strings.ContainsAny(in, " \r\n=") {
			t.Fatalf("%q is not compact", in)
		}
		_, _ = VerifyStatement(in, []byte(rfcJWK))
	})
}
