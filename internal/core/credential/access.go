package credential

import (
	stdjson "encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// AccessTokenType is the JOSE typ of an access token (RFC 9068).
const AccessTokenType = "at+jwt"

// MaxLife is the longest a delegated access token lives. Nothing revokes a token by
// itself: decisions ask the recorded chain, so a short life only bounds what a
// foreign verifier may honour offline.
const MaxLife = 5 * time.Minute

// MaxSignIn is the longest a token lives that is of no mission. Only a server
// for development makes one that long (SEMANTICS section 11).
const MaxSignIn = 15 * time.Minute

// AgentProfile is the sub_profile of an actor (OAuth actor profile): only agents
// act for others.
const AgentProfile = "ai_agent"

// claims is the JSON of an access token.
type claims struct {
	Issuer   string        `json:"iss"`
	Subject  principal.UID `json:"sub"`
	Audience string        `json:"aud"` // exactly one, as a string
	Client   principal.UID `json:"client_id"`
	ID       principal.UID `json:"jti"`
	Issued   int64         `json:"iat"`
	Expiry   int64         `json:"exp"`
	Confirm  *confirm      `json:"cnf,omitempty"`
	Act      *act          `json:"act,omitempty"`
	Details  authority.Set `json:"authorization_details,omitempty"`
	Mission  *mission      `json:"mission,omitempty"`
	Hop      *dlg          `json:"dlg,omitempty"`
	Txn      principal.UID `json:"txn,omitempty"`
}

type confirm struct {
	JKT string `json:"jkt"`
}

// act is RFC 8693 section 4.1, a projection of the recorded chain for
// interoperation; nothing in Ambit decides on it.
type act struct {
	Issuer  string        `json:"iss"`
	Subject principal.UID `json:"sub"`
	Profile string        `json:"sub_profile"`
	Act     *act          `json:"act,omitempty"`
}

type mission struct {
	ID            principal.UID `json:"id"`
	AuthorityHash string        `json:"authority_hash"`
}

type dlg struct {
	ID       principal.UID `json:"id"`
	Parent   principal.UID `json:"parent,omitempty"`
	Depth    int           `json:"depth"`
	MaxDepth int           `json:"max_depth"`
	Root     principal.UID `json:"root"`
}

// Claims returns t as JSON, for Signer.SignJWT under AccessTokenType. Times are
// cut to whole seconds, so a token never outlives what it was minted from. A
// Token that ParseAccess would refuse has no claims: that is a fault of kind
// Internal, because only the server makes Tokens.
func (t Token) Claims() ([]byte, error) {
	t.Issued, t.Expiry = t.Issued.Truncate(time.Second), t.Expiry.Truncate(time.Second)
	if why := t.unsound(); why != "" {
		return nil, fault.New(fault.Internal, "a token cannot be minted: %s", why)
	}
	c := claims{Issuer: t.Issuer, Subject: t.Origin, Audience: t.Audience, Client: t.Client, ID: t.ID,
		Issued: t.Issued.Unix(), Expiry: t.Expiry.Unix(), Details: t.Authority, Txn: t.Txn}
	if t.JKT != "" {
		c.Confirm = &confirm{t.JKT}
	}
	for i := len(t.Actors) - 1; i >= 0; i-- {
		c.Act = &act{t.Issuer, t.Actors[i], AgentProfile, c.Act}
	}
	if t.Hop != "" {
		c.Mission = &mission{t.Mission, t.AuthorityHash}
		c.Hop = &dlg{t.Hop, t.Parent, t.Depth, t.MaxDepth, t.Root}
	}
	b, err := stdjson.Marshal(c)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a token cannot be minted")
	}
	return b, nil
}

// ParseAccess reads the claims of an access token whose signature and typ a
// Signer has verified, and checks that it is issuer's and holds at now. Whose
// audience it is, is asked with For; who presents it, by Verifier.
func ParseAccess(payload []byte, issuer string, now time.Time) (Token, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Token{}, Refuse(ErrInvalidToken, "the access token's claims do not parse")
	}
	t := Token{ID: c.ID, Issuer: c.Issuer, Origin: c.Subject, Client: c.Client, Audience: c.Audience,
		Issued: time.Unix(c.Issued, 0).UTC(), Expiry: time.Unix(c.Expiry, 0).UTC(), Txn: c.Txn, Authority: c.Details}
	if c.Confirm != nil {
		if t.JKT = c.Confirm.JKT; t.JKT == "" {
			return Token{}, Refuse(ErrInvalidToken, "the access token confirms a key without a thumbprint")
		}
	}
	for a := c.Act; a != nil; a = a.Act {
		if a.Issuer != issuer || a.Profile != AgentProfile {
			return Token{}, Refuse(ErrInvalidToken, "the access token names an actor of another issuer or kind")
		}
		t.Actors = append(t.Actors, a.Subject)
	}
	if (c.Mission == nil) != (c.Hop == nil) {
		return Token{}, Refuse(ErrInvalidToken, "the access token has one of mission and dlg without the other")
	}
	if c.Hop != nil {
		t.Mission, t.AuthorityHash = c.Mission.ID, c.Mission.AuthorityHash
		t.Hop, t.Parent, t.Root, t.Depth, t.MaxDepth = c.Hop.ID, c.Hop.Parent, c.Hop.Root, c.Hop.Depth, c.Hop.MaxDepth
	}
	if why := t.unsound(); why != "" {
		return Token{}, Refuse(ErrInvalidToken, "the access token does not hold: %s", why)
	}
	if t.Issuer != issuer {
		return Token{}, Refuse(ErrInvalidToken, "the access token is of another issuer")
	}
	return t, t.at(now)
}

// at checks that t holds at now; expiry is exclusive.
func (t Token) at(now time.Time) error {
	if !now.Before(t.Expiry) {
		return Refuse(ErrInvalidToken, "the access token expired at %s", t.Expiry.Format(time.RFC3339))
	}
	if t.Issued.After(now.Add(Skew)) {
		return Refuse(ErrInvalidToken, "the access token is of the future")
	}
	return nil
}

// For checks that t is meant for audience, byte by byte (RFC 8707).
func (t Token) For(audience string) error {
	if audience == "" || t.Audience != audience {
		return Refuse(ErrInvalidToken, "the access token is for another resource")
	}
	return nil
}

// Delegated reports whether t is of a chain under a mission.
func (t Token) Delegated() bool { return t.Hop != "" }

// unsound says what in t contradicts the form of a token, "" for nothing. It is
// the one rule for what is minted and what is accepted.
func (t Token) unsound() string {
	life, most := t.Expiry.Sub(t.Issued), MaxLife
	if t.Hop == "" {
		most = MaxSignIn
	}
	switch {
	case t.Issuer == "" || t.Audience == "":
		return "iss and aud are needed"
	case t.ID.Prefix() == "":
		return "jti is not a uid"
	case !t.Origin.Is(principal.User) && !t.Origin.Is(principal.Workload):
		return "sub is not a user or workload"
	case t.Issued.Unix() <= 0 || life <= 0 || life > most:
		return "it must live longer than nothing and not longer than " + most.String()
	case t.Hop != "":
		return t.unsoundChain()
	case t.Client != t.Origin:
		return "without a mission only the subject itself acts"
	case t.Mission != "" || t.Parent != "" || t.Root != "" || t.Txn != "" || t.AuthorityHash != "" ||
		t.Depth != 0 || t.MaxDepth != 0 || len(t.Actors) != 0 || len(t.Authority) != 0:
		return "it has parts of a delegation without a hop"
	}
	return ""
}

func (t Token) unsoundChain() string {
	switch {
	case !t.Mission.Is(principal.Mission) || !t.Hop.Is(principal.Hop) || !t.Root.Is(principal.Hop) || !t.Txn.Is(principal.Run):
		return "mission, dlg or txn holds what is not a uid of its kind"
	case t.AuthorityHash == "":
		return "mission.authority_hash is needed"
	case t.Depth < 1 || t.MaxDepth < t.Depth:
		return "dlg.depth is outside 1 … max_depth"
	case (t.Depth == 1) != (t.Hop == t.Root) || (t.Depth == 1) != (t.Parent == "") || t.Parent != "" && !t.Parent.Is(principal.Hop):
		return "dlg.parent and dlg.root do not fit its depth"
	case len(t.Actors) != t.Depth || t.Actors[0] != t.Client:
		return "act must name the agent of every hop, the client outermost"
	}
	for _, a := range t.Actors {
		if !a.Is(principal.Agent) {
			return "act names what is not an agent"
		}
	}
	return ""
}
