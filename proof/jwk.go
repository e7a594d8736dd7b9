package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// b64 is base64url without padding (RFC 7515 section 2).
var b64 = base64.RawURLEncoding.Strict()

// decode64 decodes s, of which every value has exactly one spelling: Strict
// refuses stray bits, and the line ends that encoding/base64 skips are refused
// here.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line end in base64url")
	}
	return b64.DecodeString(s)
}

// isHash reports whether s is a hash as Hash writes it.
func isHash(s string) bool {
	b, err := decode64(s)
	return err == nil && len(b) == sha256.Size
}

// PublicJWK returns key as a canonical JWK (RFC 7517) with exactly the members
// that its thumbprint covers. It returns nil when key is not on P-256.
func PublicJWK(key *ecdsa.PublicKey) []byte {
	if key == nil || key.Curve != elliptic.P256() {
		return nil
	}
	point, err := key.Bytes()
	if err != nil {
		return nil
	}
	return []byte(`{"crv":"P-256","kty":"EC","x":"` + b64.EncodeToString(point[1:33]) +
		`","y":"` + b64.EncodeToString(point[33:]) + `"}`)
}

// ParseJWK returns the public key of a P-256 JWK. It refuses every other kind
// of key, a private key, a repeated member and a point that is not on the
// curve; members that do not belong to the key (kid, use, alg) are ignored.
func ParseJWK(jwk []byte) (*ecdsa.PublicKey, error) {
	m, err := object(jwk, MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	if _, private := m["d"]; private {
		return nil, errors.New("JWK holds a private key; only the public half may leave its owner")
	}
	if text(m["kty"]) != "EC" || text(m["crv"]) != "P-256" {
		return nil, errors.New(`JWK is not an EC key on P-256 (want "kty":"EC","crv":"P-256")`)
	}
	point := []byte{4}
	for _, name := range [...]string{"x", "y"} {
		v, err := decode64(text(m[name]))
		if err != nil || len(v) != 32 {
			return nil, fmt.Errorf("JWK member %q is not 32 bytes in base64url", name)
		}
		point = append(point, v...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("JWK is not a point on P-256")
	}
	return key, nil
}

// Thumbprint returns the RFC 7638 thumbprint of a P-256 JWK, base64url.
func Thumbprint(jwk []byte) (string, error) {
	key, err := ParseJWK(jwk)
	if err != nil {
		return "", err
	}
	return Hash(PublicJWK(key)), nil
}

// object returns the members of a JSON object by their exact names. Unlike
// encoding/json into a struct it neither folds case nor lets a repeated name
// hide another.
func object(b []byte, depth int) (map[string]json.RawMessage, error) {
	if _, err := canonical(b, depth, false); err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return nil, errors.New("not a JSON object")
	}
	return m, nil
}

// text returns the JSON string in b, "" when b is absent or anything else.
func text(b json.RawMessage) string {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s
}
