package credential

import (
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// ProofType is the JOSE typ of a DPoP proof (RFC 9449).
const ProofType = "dpop+jwt"

// ProofWindow is how old a proof may be.
const ProofWindow = 60 * time.Second

// A Proof is a verified DPoP proof: its maker holds the private half of JKT and
// meant this method and URL.
type Proof struct {
	ID     string // jti
	JKT    string
	JWK    []byte // the key, canonical
	Nonce  string // "" when it has none
	Issued time.Time
	// Request is the request that it came with, "" when that is not known.
	Request principal.UID
}

// CheckProof verifies the DPoP proof in p (RFC 9449 section 4.3), bound to p's
// token if there is one. htu is compared byte by byte with p.URL, which the
// route computed from the configured issuer. want is the thumbprint that the key
// must have, "" for any: it is asked before the signature is, because that
// costs. Whether the proof was used before is Replay's to say.
func CheckProof(p Presented, want string, now time.Time) (Proof, error) {
	no := func(why string) (Proof, error) {
		return Proof{}, Refuse(ErrInvalidDPoPProof, "DPoP proof refused: %s", why)
	}
	if p.Proof == "" {
		return no("there is none; send one in the DPoP header")
	}
	j, err := parse(p.Proof, ProofType)
	if err != nil {
		return no(err.Error())
	}
	key, jkt, err := j.embedded()
	if err != nil {
		return no(err.Error())
	}
	if want != "" && jkt != want {
		return no("it is by another key than the one confirmed")
	}
	var c struct {
		ID     string  `json:"jti"`
		Method string  `json:"htm"`
		URL    string  `json:"htu"`
		Issued date    `json:"iat"`
		Hash   *string `json:"ath"`
		Nonce  string  `json:"nonce"`
	}
	if err := json.Unmarshal(j.claims, &c); err != nil {
		return no("its claims do not parse")
	}
	switch {
	case c.ID == "" || len(c.ID) > maxID:
		return no("jti must have 1 to 256 bytes")
	case p.Method == "" || c.Method != p.Method:
		return no("htm is not the method of this request")
	case p.URL == "" || c.URL != p.URL:
		return no("htu is not the public URL of this request, without query and fragment")
	case c.Issued.IsZero() || c.Issued.After(now.Add(Skew)):
		return no("iat is absent or of the future; is the client's clock ahead by more than 5 s?")
	case now.Sub(c.Issued.Time) > ProofWindow:
		return no("it is older than 60 s")
	case p.Token != "" && (c.Hash == nil || *c.Hash != proof.Hash([]byte(p.Token))):
		return no("ath is not the hash of the presented token")
	case p.Token == "" && c.Hash != nil:
		return no("ath binds it to a token, and none is presented")
	}
	if err := j.verify(key); err != nil {
		return no(err.Error())
	}
	return Proof{ID: c.ID, JKT: jkt, JWK: proof.PublicJWK(key), Nonce: c.Nonce, Issued: c.Issued.Time, Request: p.Request}, nil
}
