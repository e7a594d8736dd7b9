package credential

import (
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/proof"
)

// The JOSE typ of each assertion that a principal signs with its own key. One
// key may sign all of them; the typ keeps one from passing for another.
const (
	// ClientType authenticates a client to the token endpoint (private_key_jwt
	// with the explicit typ that RFC 7523bis asks for).
	ClientType = "client-authentication+jwt"
	// ActorType is an actor_token (RFC 8693): the agent that will act says so.
	ActorType = "ambit-actor+jwt"
	// LoginType is a person's or workload's assertion grant (RFC 7523).
	LoginType = "ambit-login+jwt"
)

// MaxAssertion is the longest an assertion lives.
const MaxAssertion = 60 * time.Second

// maxID bounds a jti: it is remembered.
const maxID = 256

// An Assertion is a verified statement of a principal about itself.
type Assertion struct {
	Subject string // iss = sub, as sent: a uid, for a login perhaps a handle
	ID      string // jti
	Issued  time.Time
	Expiry  time.Time
	JKT     string // thumbprint of the key that signed it
	JWK     []byte // that key, canonical
}

// Once returns the key under which the floor refuses to see a twice: the signer,
// not the claimed subject, scopes the jti, and it is remembered until a has expired.
func (a Assertion) Once() ledger.Once {
	return ledger.Once{Key: proof.Hash([]byte(a.JKT + "\n" + a.ID)), Expiry: a.Expiry.Add(time.Second)}
}

// A KeyOf returns the enrolled public JWK of subject whose thumbprint is kid, nil
// when there is none. It is asked with unverified values.
type KeyOf func(subject, kid string) (jwk []byte)

// CheckAssertion verifies an assertion of typ, meant for issuer, with an enrolled
// key. Whether it was used before is the floor's to say (Once).
//
// aud is exactly the issuer as a single string: an array, a token endpoint URL or
// another spelling is how one server's assertion comes to be another's
// (RFC 7523bis).
func CheckAssertion(compact, typ, issuer string, now time.Time, key KeyOf) (Assertion, error) {
	code := codeOf(typ)
	j, err := parse(compact, typ)
	if err != nil {
		return Assertion{}, Refuse(code, "%s refused: %s", noun(typ), err)
	}
	if j.jwk != nil || j.unnamed {
		return Assertion{}, Refuse(code, "%s refused: its header must name its key by kid alone", noun(typ))
	}
	a, err := claimsOf(j, typ, issuer, now)
	if err != nil {
		return Assertion{}, err
	}
	pub, err := proof.ParseJWK(key(a.Subject, j.kid))
	if err != nil {
		return Assertion{}, Refuse(code, "%s refused: its kid is not the thumbprint of an enrolled key of its subject", noun(typ))
	}
	a.JWK = proof.PublicJWK(pub)
	if a.JKT = proof.Hash(a.JWK); a.JKT != j.kid {
		return Assertion{}, Refuse(code, "%s refused: its kid is not the thumbprint of an enrolled key of its subject", noun(typ))
	}
	if err := j.verify(pub); err != nil {
		return Assertion{}, Refuse(code, "%s refused: %s", noun(typ), err)
	}
	return a, nil
}

// CheckNewcomer verifies the actor token of an agent that is not enrolled yet: it
// carries its public key in its header and proves that it holds the private
// half. What the key may do is for the parent's signed hop to say, whose cnf must
// equal the JKT returned here.
func CheckNewcomer(compact, issuer string, now time.Time) (Assertion, error) {
	j, err := parse(compact, ActorType)
	if err != nil {
		return Assertion{}, Refuse(codeOf(ActorType), "actor token refused: %s", err)
	}
	a, err := claimsOf(j, ActorType, issuer, now)
	if err != nil {
		return Assertion{}, err
	}
	pub, jkt, err := j.embedded()
	if err != nil {
		return Assertion{}, Refuse(codeOf(ActorType), "actor token refused: %s", err)
	}
	if err := j.verify(pub); err != nil {
		return Assertion{}, Refuse(codeOf(ActorType), "actor token refused: %s", err)
	}
	a.JKT, a.JWK = jkt, proof.PublicJWK(pub)
	return a, nil
}

// claimsOf reads and checks everything of an assertion but its signature.
func claimsOf(j jws, typ, issuer string, now time.Time) (Assertion, error) {
	var c struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   date   `json:"iat"`
		Expiry   date   `json:"exp"`
		Before   date   `json:"nbf"`
	}
	no := func(why string) (Assertion, error) {
		return Assertion{}, Refuse(codeOf(typ), "%s refused: %s", noun(typ), why)
	}
	if err := json.Unmarshal(j.claims, &c); err != nil {
		return no("its claims do not parse, or aud is not a single string")
	}
	switch {
	case c.Issuer == "" || c.Issuer != c.Subject:
		return no("iss and sub must be present and equal")
	case issuer == "" || c.Audience != issuer:
		return no("aud must be exactly the issuer")
	case c.ID == "" || len(c.ID) > maxID:
		return no("jti must have 1 to 256 bytes")
	case c.Issued.IsZero() || c.Expiry.IsZero():
		return no("iat and exp are needed")
	case c.Issued.After(now.Add(Skew)) || c.Before.After(now.Add(Skew)):
		return no("it is of the future; is the signer's clock ahead by more than 5 s?")
	case !now.Before(c.Expiry.Time):
		return no("it has expired")
	case !c.Expiry.After(c.Issued.Time) || c.Expiry.Sub(c.Issued.Time) > MaxAssertion:
		return no("exp must be after iat by at most 60 s")
	}
	return Assertion{Subject: c.Subject, ID: c.ID, Issued: c.Issued.Time, Expiry: c.Expiry.Time}, nil
}

// codeOf is what a bad assertion of typ means to its sender: RFC 6749 for client
// authentication, RFC 8693 section 2.2.2 for an actor token, RFC 7523 for a grant.
func codeOf(typ string) Code {
	switch typ {
	case ClientType:
		return ErrInvalidClient
	case ActorType:
		return ErrInvalidRequest
	}
	return ErrInvalidGrant
}

// noun names an assertion for people.
func noun(typ string) string {
	switch typ {
	case ClientType:
		return "client assertion"
	case ActorType:
		return "actor token"
	}
	return "login assertion"
}
