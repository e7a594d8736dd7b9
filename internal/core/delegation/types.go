package delegation

import (
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// A Mission is a person's mandate: its root hop plus intent, context and frame
// (SEMANTICS section 3). Its uid is also the key of its head.
type Mission struct {
	ID         principal.UID `json:"id"`
	Origin     principal.UID `json:"origin"` // the person who signed the root hop
	Rooted     Rooted        `json:"rooted"`
	Root       principal.UID `json:"root"` // the root hop
	Intent     string        `json:"intent"`
	IntentHash string        `json:"intentHash"`
	// AuthorityHash is the base64url SHA-256 of the JCS form of the root's authority.
	AuthorityHash string        `json:"authorityHash"`
	Context       principal.UID `json:"context,omitempty"` // "" when the mission has none
	// Frame is what the context's mapping yielded when the mission was made.
	// HasFrame tells an empty frame (admits nothing) from no frame at all.
	Frame    authority.Set `json:"frame,omitempty"`
	HasFrame bool          `json:"hasFrame,omitempty"`
	OnLimit  OnLimit       `json:"onLimit,omitempty"`
	State    State         `json:"state"`
	Started  time.Time     `json:"started"`
	Ended    time.Time     `json:"ended,omitzero"`
}

// Rooted says on whose account a mission runs.
type Rooted string

// A mission is rooted in a user who acts through agents, or in the owner of an
// agent that works on its own account.
const (
	UserRooted  Rooted = "user"
	OwnerRooted Rooted = "owner"
)

// OnLimit says what a broken limit means: "" and "deny" deny, "ask" challenges.
type OnLimit string

// The two answers to a broken limit.
const (
	DenyOnLimit OnLimit = "deny"
	AskOnLimit  OnLimit = "ask"
)

// A State is where a mission or hop is in its life. The zero State is not live.
type State string

// The states of a mission; a hop is Active or Revoked.
const (
	Active  State = "active"
	Paused  State = "paused"
	Done    State = "done"
	Revoked State = "revoked"
)

// A Hop is one edge delegator → delegate inside a mission.
type Hop struct {
	ID        principal.UID `json:"id"`
	Mission   principal.UID `json:"mission"`
	Parent    principal.UID `json:"parent,omitempty"` // "" for the root
	Delegator principal.UID `json:"delegator"`
	Delegate  principal.UID `json:"delegate"`
	Blueprint principal.UID `json:"blueprint"` // of the delegate, when the hop was made
	Authority authority.Set `json:"authority"`
	// Effective is what is left of Authority after every narrowing above. It
	// starts equal and never grows.
	Effective  authority.Set `json:"effective"`
	Limits     Limits        `json:"limits,omitzero"`
	Expiry     time.Time     `json:"expiry"`     // exclusive: at this instant it is over
	Depth      int           `json:"depth"`      // 1 for the root
	JKT        string        `json:"jkt"`        // thumbprint of the delegate's key (RFC 7638)
	Statement  string        `json:"statement"`  // compact JWS, signed by the delegator
	Commitment string        `json:"commitment"` // base64url SHA-256 of Statement
	State      State         `json:"state"`
	Made       time.Time     `json:"made"`
	// Escrow is what was moved from the nearest limited ancestor's head into
	// this hop's own; the unused part returns when the hop ends.
	Escrow Limits `json:"escrow,omitzero"`
}

// Limits and Rate are part of the signed statement, so they stand beside the
// lattice.
type (
	Limits = authority.Limits
	Rate   = authority.Rate
)

// Live reports whether h may still act at an instant: it is active and not over.
// Its mission and the hops above it have their own say.
func (h Hop) Live(at time.Time) bool { return h.State == Active && at.Before(h.Expiry) }

// A Chain is the path of hops from the root to the acting hop. Link 0 is the
// mission's origin; link i is the delegate of Hops[i-1].
type Chain struct {
	Mission Mission
	Hops    []Hop
}

// Acting returns the last hop.
func (c Chain) Acting() Hop { return c.Hops[len(c.Hops)-1] }

// Link returns the principal of link i, 0 ≤ i ≤ len(Hops).
func (c Chain) Link(i int) principal.UID {
	if i == 0 {
		return c.Mission.Origin
	}
	return c.Hops[i-1].Delegate
}
