package credential

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
)

// A Verifier says what a presented credential is worth. It is a value of four
// references, safe for concurrent use. It answers who holds which token; whether
// that principal still stands is the directory's to say.
type Verifier struct {
	Issuer string
	Tokens Signer
	Replay *Replay
	Cache  *Cache
}

// Access verifies the access token in p for audience, and that its presenter is
// the one it was issued to: a bound token comes as DPoP with a proof by the
// confirmed key, made for this request and not used before; an unbound one comes
// as Bearer and brings no proof. The scheme never decides how a token is bound;
// the token does, so a stolen bound token is worth nothing as Bearer.
// The Token returned is shared: do not modify its slices.
func (v Verifier) Access(p Presented, audience string, now time.Time) (Token, error) {
	if p.Token == "" {
		return Token{}, fault.New(fault.Unauthenticated, "no access token was presented").
			WithHint("get one at %s/oauth/token and send it as: Authorization: DPoP <token>", v.Issuer)
	}
	t, err := v.token(p.Token, now)
	if err != nil {
		return Token{}, err
	}
	if err := t.For(audience); err != nil {
		return Token{}, err
	}
	switch {
	case t.JKT == "" && p.Scheme == "Bearer" && p.Proof == "":
		return t, nil
	case t.JKT == "":
		return Token{}, Refuse(ErrInvalidToken, "the access token is not bound to a key: send it as Bearer and without a proof")
	case p.Scheme != "DPoP":
		return Token{}, Refuse(ErrInvalidToken, "the access token is bound to a key: send it as DPoP with a proof by that key")
	}
	if _, err := v.Proof(p, t.JKT, now); err != nil {
		return Token{}, err
	}
	return t, nil
}

// Proof verifies the DPoP proof in p and spends it. want is the thumbprint that
// its key must have, "" for any.
func (v Verifier) Proof(p Presented, want string, now time.Time) (Proof, error) {
	proven, err := CheckProof(p, want, now)
	if err != nil {
		return Proof{}, err
	}
	// Last: only what verified may take room.
	if err := v.Replay.Use(proven, now); err != nil {
		return Proof{}, err
	}
	return proven, nil
}

// Subject verifies an access token that is handed in as a subject_token
// (RFC 8693): one of this issuer's, of any of its resources. It proves nothing
// about who hands it in; the caller must demand a proof by the key of its JKT, or
// anybody who saw the token could exchange it.
func (v Verifier) Subject(compact string, now time.Time) (Token, error) {
	t, err := v.token(compact, now)
	if err != nil {
		message, _ := fault.Safe(err)
		return Token{}, Refuse(ErrInvalidRequest, "subject token refused: %s", message)
	}
	if !strings.HasPrefix(t.Audience, v.Issuer+"/") {
		return Token{}, Refuse(ErrInvalidRequest, "subject token refused: it is for a resource of another server")
	}
	return t, nil
}

// token verifies signature, typ, issuer and time, or remembers having done so.
func (v Verifier) token(compact string, now time.Time) (Token, error) {
	if len(compact) > maxJWS {
		return Token{}, Refuse(ErrInvalidToken, "the access token is longer than %d bytes", maxJWS)
	}
	sum := sha256.Sum256([]byte(compact))
	if t, ok := v.Cache.get(sum, now); ok {
		return t, nil
	}
	payload, err := v.Tokens.VerifyJWT(AccessTokenType, compact)
	if err != nil {
		return Token{}, fault.Wrap(fault.Unauthenticated, ErrInvalidToken, "the access token does not verify: %s", err)
	}
	t, err := ParseAccess(payload, v.Issuer, now)
	if err != nil {
		return Token{}, err
	}
	v.Cache.put(sum, t, now)
	return t, nil
}
