package directory

import (
	"encoding/json"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// A State is where a principal or blueprint is in its life. The zero State is
// not live.
type State string

// The states of a life.
const (
	Active      State = "active"
	Disabled    State = "disabled"    // by an administrator or a feed; may return
	Quarantined State = "quarantined" // by a reaction; may return by review
	Revoked     State = "revoked"     // final
)

// A User is a person.
type User struct {
	ID      principal.UID   `json:"id"`
	Handle  string          `json:"handle"`
	Name    string          `json:"name,omitempty"`
	Manager principal.UID   `json:"manager,omitempty"`
	Groups  []principal.UID `json:"groups,omitempty"` // sorted
	Keys    []Key           `json:"keys,omitempty"`   // enrolled signing keys
	State   State           `json:"state"`
}

// A Key is an enrolled public key and how it came to be trusted.
type Key struct {
	JKT      string          `json:"jkt"` // RFC 7638 thumbprint
	JWK      json.RawMessage `json:"jwk"` // public, canonical
	Enrolled time.Time       `json:"enrolled"`
	Evidence string          `json:"evidence"` // "admin.sock", "declared by usr_…": never more than is known
	By       principal.UID   `json:"by,omitempty"`
}

// A Group is a set of users or workloads; membership is on the member.
type Group struct {
	ID     principal.UID `json:"id"`
	Handle string        `json:"handle"`
	Name   string        `json:"name,omitempty"`
}

// A Workload is a machine principal.
type Workload struct {
	ID     principal.UID   `json:"id"`
	Handle string          `json:"handle"`
	Owner  principal.UID   `json:"owner"` // a live human
	Groups []principal.UID `json:"groups,omitempty"`
	Keys   []Key           `json:"keys,omitempty"`
	State  State           `json:"state"`
}

// A Blueprint is a class of agents.
type Blueprint struct {
	ID      principal.UID `json:"id"`
	Handle  string        `json:"handle"`
	Purpose string        `json:"purpose"`
	Owner   principal.UID `json:"owner"` // a live human
	// Entitlement says whether its agents act only with what is delegated, or
	// also on their own account.
	Entitlement Entitlement   `json:"entitlement"`
	Ceiling     authority.Set `json:"ceiling"`
	// Requestable is what an approval may add beyond the ceiling.
	Requestable authority.Set `json:"requestable,omitempty"`
	// Bearer permits tokens that are not bound to a key. They are recorded so.
	Bearer bool  `json:"bearer,omitempty"`
	State  State `json:"state"`
}

// Entitlement is "delegated" or "own"; the zero value permits nothing.
type Entitlement string

// The entitlements of a blueprint's agents.
const (
	DelegatedOnly Entitlement = "delegated"
	Own           Entitlement = "own"
)

// An Agent is an identity made from a blueprint.
type Agent struct {
	ID        principal.UID `json:"id"`
	Handle    string        `json:"handle,omitempty"` // "" for an ephemeral agent
	Blueprint principal.UID `json:"blueprint"`
	Owner     principal.UID `json:"owner"` // a live human
	Keys      []Key         `json:"keys,omitempty"`
	// Parent is the agent that spawned an ephemeral one; Expiry ends it.
	Parent principal.UID `json:"parent,omitempty"`
	Expiry time.Time     `json:"expiry,omitzero"`
	State  State         `json:"state"`
}

// A Context is an encounter, a ticket: opened and closed by a person or a feed.
type Context struct {
	ID         principal.UID     `json:"id"`
	Type       string            `json:"type"`   // "encounter"
	Handle     string            `json:"handle"` // "E1": resource id of the same type
	Attributes map[string]string `json:"attributes,omitempty"`
	Open       bool              `json:"open"`
}

// A Subject is who asks. It is one of Direct, Delegated and System; there is no
// fourth, and no optional mission (SEMANTICS section 2).
type Subject interface{ subject() }

// Direct is a user or a workload, authenticated now; never an agent.
type Direct struct{ Principal principal.UID }

// Delegated is a chain under a mission. An agent is always Delegated.
type Delegated struct{ Chain delegation.Chain }

// System is ambit:system.
type System struct{}

func (Direct) subject()    {}
func (Delegated) subject() {}
func (System) subject()    {}
