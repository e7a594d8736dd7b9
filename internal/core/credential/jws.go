package credential

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4/json" // case-sensitive, refuses repeated members

	"github.com/ambit-iam/ambit/proof"
)

// maxJWS bounds a compact JWS. A token with a long authority is the largest.
const maxJWS = 16 << 10

// b64 has one spelling of every value: no padding, no stray bits, no newline.
var b64 = base64.RawURLEncoding.Strict()

// A jws is a parsed, unverified compact JWS (RFC 7515). Its header is a closed
// set of four members: whatever else a header may carry (crit, jku, x5u, b64,
// zip) changes how a JWS is verified or where its key comes from, and is refused
// by not being known.
type jws struct {
	kid     string
	jwk     []byte // raw, nil when the header embeds no key
	claims  []byte
	input   string // what is signed
	r, s    [32]byte
	unnamed bool // no kid
}

// parse reads a compact JWS of exactly this typ. The only algorithm is ES256.
// typ is compared byte by byte: a token of one purpose is never another's
// (RFC 8725 section 3.11).
func parse(compact, typ string) (jws, error) {
	if len(compact) > maxJWS {
		return jws{}, fmt.Errorf("it is longer than %d bytes", maxJWS)
	}
	input, signature, ok := cutLast(compact, '.')
	head, body, ok2 := strings.Cut(input, ".")
	if !ok || !ok2 || strings.IndexByte(body, '.') >= 0 {
		return jws{}, errors.New("it is not three parts in base64url")
	}
	h, err1 := decode(head)
	claims, err2 := decode(body)
	sig, err3 := decode(signature)
	if err1 != nil || err2 != nil || err3 != nil || len(sig) != 64 {
		return jws{}, errors.New("a part of it is not base64url without padding, or the signature is not 64 bytes")
	}
	j := jws{claims: claims, input: input, r: [32]byte(sig[:32]), s: [32]byte(sig[32:])}
	return j, j.header(h, typ)
}

// decode is base64url in its one spelling: the package base64 skips newlines,
// which would give one token many.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("newline")
	}
	return b64.DecodeString(s)
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (j *jws) header(h []byte, typ string) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(h, &members); err != nil {
		return errors.New("its header is not a JSON object with each member once")
	}
	var gotTyp, alg string
	j.unnamed = true
	for name, raw := range members {
		var err error
		switch name {
		case "alg":
			err = json.Unmarshal(raw, &alg)
		case "typ":
			err = json.Unmarshal(raw, &gotTyp)
		case "kid":
			j.unnamed = false
			err = json.Unmarshal(raw, &j.kid)
		case "jwk":
			j.jwk = raw
		default:
			return errors.New("its header has a member that is not one of alg, typ, kid and jwk")
		}
		if err != nil {
			return fmt.Errorf("header member %s is not a string", name)
		}
	}
	if alg != "ES256" {
		return errors.New("its algorithm is not ES256")
	}
	if gotTyp != typ {
		return fmt.Errorf("its typ is not %q", typ)
	}
	return nil
}

// verify checks j's signature.
func (j *jws) verify(key *ecdsa.PublicKey) error {
	sum := sha256.Sum256([]byte(j.input))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(j.r[:]), new(big.Int).SetBytes(j.s[:])) {
		return errors.New("its signature does not verify")
	}
	return nil
}

// embedded returns the public key in j's header and its thumbprint. A kid beside
// it would be a second name of the key and is allowed only where it is the same.
func (j *jws) embedded() (*ecdsa.PublicKey, string, error) {
	if j.jwk == nil {
		return nil, "", errors.New("its header embeds no jwk")
	}
	key, err := proof.ParseJWK(j.jwk)
	if err != nil {
		return nil, "", errors.New("the jwk in its header is not the public half of a P-256 key")
	}
	jkt := proof.Hash(proof.PublicJWK(key))
	if !j.unnamed && j.kid != jkt {
		return nil, "", errors.New("its kid is not the thumbprint of its jwk")
	}
	return key, jkt, nil
}

// Open returns the claims of a compact JWS of exactly this typ that key of its
// kid signed; key returns nil for a kid that it does not know. A JWS that embeds
// a key is refused: whoever signs with a known key has no use for that. It is
// what a Signer verifies with.
func Open(compact, typ string, key func(kid string) *ecdsa.PublicKey) ([]byte, error) {
	j, err := parse(compact, typ)
	if err != nil {
		return nil, err
	}
	if j.jwk != nil || j.unnamed {
		return nil, errors.New("its header must name its key by kid alone")
	}
	k := key(j.kid)
	if k == nil {
		return nil, errors.New("its kid is not of a known key")
	}
	if err := j.verify(k); err != nil {
		return nil, err
	}
	return j.claims, nil
}
