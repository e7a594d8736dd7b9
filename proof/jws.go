package proof

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/ambit-iam/ambit/proof/authority"
)

// MaxStatement bounds the bytes of a compact statement.
const MaxStatement = 64 << 10

// SignStatement signs s with key, which must be on P-256, as a compact JWS. The
// signature is deterministic (RFC 6979). A statement that ParseStatement would
// refuse is refused here.
func SignStatement(s Statement, key *ecdsa.PrivateKey) (string, error) {
	if key == nil {
		return "", errors.New("statement: no key to sign with")
	}
	jwk := PublicJWK(&key.PublicKey)
	if jwk == nil {
		return "", errors.New("statement: the key is not on P-256")
	}
	if err := s.validate(); err != nil {
		return "", fmt.Errorf("statement: %w", err)
	}
	claims, err := s.claims()
	if err != nil {
		return "", fmt.Errorf("statement: %w", err)
	}
	input := b64.EncodeToString(header(Hash(jwk))) + "." + b64.EncodeToString(claims)
	sum := sha256.Sum256([]byte(input))
	der, err := key.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("statement: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return "", fmt.Errorf("statement: %w", err)
	}
	var raw [64]byte
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	compact := input + "." + b64.EncodeToString(raw[:])
	if len(compact) > MaxStatement {
		return "", fmt.Errorf("statement of %d bytes; at most %d", len(compact), MaxStatement)
	}
	return compact, nil
}

// ParseStatement parses a compact statement and returns the thumbprint of the
// key that claims to have signed it. It is strict about form and verifies
// NOTHING; use it to learn which key VerifyStatement needs.
func ParseStatement(compact string) (s Statement, kid string, err error) {
	s, kid, _, err = parse(compact)
	return s, kid, err
}

// VerifyStatement parses compact and verifies that it was signed with the
// private half of jwk.
func VerifyStatement(compact string, jwk []byte) (Statement, error) {
	s, kid, sig, err := parse(compact)
	if err != nil {
		return Statement{}, err
	}
	key, err := ParseJWK(jwk)
	if err != nil {
		return Statement{}, fmt.Errorf("statement %s: %w", s.ID, err)
	}
	if have := Hash(PublicJWK(key)); have != kid {
		return Statement{}, fmt.Errorf("statement %s names key %s, not %s", s.ID, kid, have)
	}
	sum := sha256.Sum256([]byte(compact[:strings.LastIndexByte(compact, '.')]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return Statement{}, fmt.Errorf("statement %s: the signature does not verify", s.ID)
	}
	return s, nil
}

// Commitment returns what a child and every ledger entry of a hop name its
// statement by: the Hash of the compact form.
func Commitment(compact string) string { return Hash([]byte(compact)) }

// header returns the one protected header that a statement by key kid may have.
func header(kid string) []byte {
	return []byte(`{"alg":"ES256","kid":"` + kid + `","typ":"` + StatementType + `"}`)
}

// claims returns the canonical JSON of s.
func (s Statement) claims() ([]byte, error) {
	if s.Authority == nil {
		s.Authority = authority.Set{}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return Canonical(b)
}

func parse(compact string) (s Statement, kid string, sig []byte, err error) {
	fail := func(format string, args ...any) (Statement, string, []byte, error) {
		return Statement{}, "", nil, fmt.Errorf("statement: "+format, args...)
	}
	if len(compact) > MaxStatement {
		return fail("%d bytes; at most %d", len(compact), MaxStatement)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return fail("not a compact JWS: want three parts, has %d", len(parts))
	}
	var raw [3][]byte
	for i, p := range parts {
		if raw[i], err = decode64(p); err != nil {
			return fail("part %d is not base64url", i+1)
		}
	}
	if len(raw[2]) != 64 {
		return fail("the signature has %d bytes; ES256 has 64", len(raw[2]))
	}
	head, err := object(raw[0], 1)
	if err != nil {
		return fail("header: %w", err)
	}
	kid = text(head["kid"])
	if typ := text(head["typ"]); typ != StatementType {
		return fail("typ is %.40q; want %q", typ, StatementType)
	}
	// Whatever else a header could say (another alg, crit, jwk, x5u) it may not.
	if have, err := Canonical(raw[0]); err != nil || !isHash(kid) || !bytes.Equal(have, header(kid)) {
		return fail("the header must have exactly alg ES256, typ, and kid, the thumbprint of the key")
	}
	if err := json.Unmarshal(raw[1], &s); err != nil {
		return fail("claims: %w", err)
	}
	// Encoding s again shows every unknown, repeated or misspelt member.
	have, err := Canonical(raw[1])
	if err != nil {
		return fail("claims: %w", err)
	}
	want, err := s.claims()
	if err != nil {
		return fail("claims: %w", err)
	}
	if !bytes.Equal(have, want) {
		return fail("claims have an unknown or empty member")
	}
	if err := s.validate(); err != nil {
		return fail("%w", err)
	}
	return s, kid, raw[2], nil
}
