package credential

import (
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Presented is what a face took from the wire, unverified.
type Presented struct {
	Scheme string // "DPoP" or "Bearer", as sent; "" when nothing was presented
	Token  string
	Proof  string // the DPoP header's value
	Method string // HTTP method, for htm
	URL    string // public URL of the request without query, for htu
	// Request is the server's own id of the request, "" for none. A DPoP proof is
	// good for one request; within it the spine may verify it more than once.
	Request principal.UID
}

// A Token is a verified access token, or what one is minted from.
type Token struct {
	ID       principal.UID // jti
	Issuer   string
	Origin   principal.UID // sub: the person (or workload) whose intent began it
	Client   principal.UID // client_id: the acting principal
	Audience string
	Issued   time.Time
	Expiry   time.Time
	JKT      string // cnf.jkt; "" for bearer
	// The rest is empty on a direct person's or workload's token.
	Mission       principal.UID
	AuthorityHash string
	Hop           principal.UID // dlg.id
	Parent        principal.UID // dlg.parent
	Depth         int
	MaxDepth      int
	Root          principal.UID   // dlg.root
	Txn           principal.UID   // run
	Authority     authority.Set   // authorization_details
	Actors        []principal.UID // act, outermost (acting) first
}

// Bound says how the token's presenter proved its key: "dpop" or "bearer".
func (t Token) Bound() string {
	if t.JKT != "" {
		return "dpop"
	}
	return "bearer"
}

// A Signer signs with the tenant's token key. Implemented in keyring; safe for
// concurrent use.
type Signer interface {
	// SignJWT returns the compact JWS of claims (JSON) under header typ and the
	// signer's kid.
	SignJWT(typ string, claims []byte) (string, error)
	// KeySet returns the public JWK Set as JSON.
	KeySet() []byte
	// Verify returns the payload of a compact JWS that this signer's present or
	// past keys signed with the given typ.
	VerifyJWT(typ, compact string) ([]byte, error)
}
