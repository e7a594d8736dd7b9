package proof

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ambit-iam/ambit/proof/authority"
)

// StatementType is the JOSE typ of a signed hop.
const StatementType = "ambit-hop+jwt"

// DefaultMaxDepth is how deep a mission goes when no limit on the chain says.
const DefaultMaxDepth = 12

// A Statement is one hop as its delegator signs it: a compact JWS (RFC 7515,
// ES256, kid = RFC 7638 thumbprint of the delegator's key) over these claims. A
// root hop is signed by a person, has Depth 1 and no Parent, and carries the
// mission's intent, context and Rooted; a child is signed with the key that its
// parent's statement confirms.
type Statement struct {
	Issuer    string           `json:"iss"` // uid of the delegator
	Subject   string           `json:"sub"` // uid of the delegate
	Audience  string           `json:"aud"` // the issuer URL of the Ambit tenant
	ID        string           `json:"jti"` // uid of the hop
	IssuedAt  int64            `json:"iat"` // seconds
	Expiry    int64            `json:"exp"` // seconds, exclusive; required
	Mission   string           `json:"mission"`
	Blueprint string           `json:"blueprint"` // uid of the delegate's blueprint
	Authority authority.Set    `json:"authority"`
	Limits    authority.Limits `json:"limits,omitzero"`
	Depth     int              `json:"depth"`
	Confirm   Confirm          `json:"cnf"`   // the delegate's key
	Nonce     string           `json:"nonce"` // 128 bits, base64url: makes commitments unguessable
	// Parent is the commitment of the parent's statement; children only.
	Parent string `json:"parent,omitempty"`
	// The rest is the root's only.
	Intent  string `json:"intent,omitempty"`
	Context string `json:"context,omitempty"` // uid
	Rooted  string `json:"rooted,omitempty"`  // "user" or "owner"
	OnLimit string `json:"onLimit,omitempty"` // "deny" or "ask"
}

// Confirm is the cnf claim (RFC 7800) by thumbprint.
type Confirm struct {
	JKT string `json:"jkt"`
}

// Root reports whether s is the root of its mission.
func (s Statement) Root() bool { return s.Parent == "" }

// validate reports the first thing about s alone that makes it no statement.
func (s Statement) validate() error {
	issuer := "agt_"
	if s.Root() {
		issuer = "usr_"
	}
	for _, m := range [...]struct{ name, v, prefix string }{{"iss", s.Issuer, issuer}, {"sub", s.Subject, "agt_"},
		{"jti", s.ID, "hop_"}, {"mission", s.Mission, "msn_"}, {"blueprint", s.Blueprint, "bpr_"}} {
		if !strings.HasPrefix(m.v, m.prefix) {
			return fmt.Errorf("%s is %.40q; want a uid that begins with %s", m.name, m.v, m.prefix)
		}
	}
	switch {
	case logOrigin(s.Audience) == "":
		return fmt.Errorf("aud is %.80q; want the issuer's URL", s.Audience)
	case s.IssuedAt < 0 || s.Expiry <= s.IssuedAt || s.Expiry > maxInteger/1_000_000:
		return errors.New("iat and exp are not an interval of seconds")
	case s.Depth < 1 || (s.Depth == 1) != s.Root():
		return fmt.Errorf("depth %d does not fit: a root has depth 1 and no parent, a child more and one", s.Depth)
	case !s.Root() && !isHash(s.Parent):
		return errors.New("parent is not the commitment of a statement")
	case !isHash(s.Confirm.JKT):
		return errors.New("cnf.jkt is not the thumbprint of a key")
	case s.Root() && s.Rooted != "user" && s.Rooted != "owner":
		return fmt.Errorf(`rooted is %.40q; a root says "user" or "owner"`, s.Rooted)
	case s.OnLimit != "" && s.OnLimit != "deny" && s.OnLimit != "ask":
		return fmt.Errorf(`onLimit is %.40q; want "deny" or "ask"`, s.OnLimit)
	case !s.Root() && s.Intent+s.Context+s.Rooted+s.OnLimit != "":
		return errors.New("intent, context, rooted and onLimit are the root's only")
	}
	if nonce, err := decode64(s.Nonce); err != nil || len(nonce) != 16 {
		return errors.New("nonce is not 128 bits in base64url")
	}
	if err := s.Authority.Validate(); err != nil {
		return err
	}
	return s.Limits.Validate()
}

// attenuates reports the first respect in which child does not attenuate s,
// its parent, under which limits are in force.
func (s Statement) attenuates(child Statement, limits authority.Limits) error {
	switch {
	case child.Mission != s.Mission:
		return fmt.Errorf("mission %s is not the parent's %s", child.Mission, s.Mission)
	case child.Audience != s.Audience:
		return fmt.Errorf("audience %s is not the parent's %s", child.Audience, s.Audience)
	case child.Issuer != s.Subject:
		return fmt.Errorf("%s delegates what was delegated to %s", child.Issuer, s.Subject)
	case child.Depth != s.Depth+1:
		return fmt.Errorf("depth %d does not follow the parent's %d", child.Depth, s.Depth)
	case child.Expiry > s.Expiry:
		return fmt.Errorf("it ends %d s after its parent", child.Expiry-s.Expiry)
	}
	if ok, at := child.Authority.Subset(s.Authority); !ok {
		return fmt.Errorf("authority item %d is not inside the parent's authority", at+1)
	}
	if err := child.Limits.Within(limits); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}
