package policy

import (
	"encoding/json"

	"github.com/ambit-iam/ambit/internal/principal"
)

// A Policy is one Cedar policy (exactly one permit or forbid). In Source every
// reference to something Ambit owns is by uid: User::"usr_…",
// Action::"srv_….read"; faces resolve handles before and render them after.
type Policy struct {
	ID     principal.UID `json:"id"`
	Handle string        `json:"handle"`           // @id, or file and position
	Source string        `json:"source"`           // Cedar text
	Shadow bool          `json:"shadow,omitempty"` // evaluated and recorded, never enforced; also @shadow
	// Builtin policies come with the binary; they cannot be deleted by an apply.
	Builtin bool `json:"builtin,omitempty"`
}

// An Entity is a Cedar entity reference.
type Entity struct {
	Type, ID string
}

// String returns e as Cedar writes it.
func (e Entity) String() string { return e.uid().String() }

// A Principal is what policies may know about one link of the chain.
type Principal struct {
	Entity     Entity
	Parents    []Entity       // groups; an agent's blueprint
	Attributes map[string]any // string, int64, bool, Entity, []any, map[string]any
}

// A Request is one question about one principal.
type Request struct {
	Principal Principal
	Action    Entity
	// ActionParents are all the groups of the action: Action::"effect.read", the
	// server.
	ActionParents []Entity
	// Resource is the zero Entity when there is none: then no relation holds.
	// With Unknown, a Resource without an ID is not known either (its Type may
	// be), as a resource is made from arguments.
	Resource   Entity
	Attributes map[string]any // of the resource
	// Others are further entities that policies may look at, such as the origin
	// and the acting agent of Context. An entity that is in none of these fields
	// has no parents and no attributes.
	Others []Principal
	// Context holds mission, effect, link, time; Evaluate adds args and relations.
	// Values are as in Principal.Attributes.
	Context map[string]any
	// Args are the arguments as JSON. Integers (1, 1.0, 1e2) become longs, other
	// numbers decimals, arrays sets, objects records; null is as if absent. A
	// policy that reads an argument which Cedar cannot hold exactly is in error.
	Args map[string]json.RawMessage
	// Relation answers whether the principal has a relation to the resource. It
	// is called once for each name that candidate policies mention. An error
	// (a truncated search) is an error of every policy that mentions the name.
	Relation func(name string) (bool, error)
	// Fill, when not nil, is called once before any policy is asked, and not at
	// all when no policy is a candidate: it sets Principal.Attributes, Attributes,
	// Others and Context, which choosing candidates does not need.
	Fill func(*Request)
	// ForbidsOnly leaves permits out: for a link whose entitlement is not asked.
	ForbidsOnly bool
	// Unknown says that Args are not known: what policies that read them say is
	// only Maybe.
	Unknown bool
}

// A Result is what the policies say of one principal.
type Result struct {
	Permits []Hit // matching permits, in force
	Forbids []Hit // matching or erring forbids, in force
	Errors  []Hit // every policy in force that erred, permits too
	// Requestable are matching permits annotated @requestable: each permits only
	// with an approval, and never by itself.
	Requestable []Hit
	Shadow      []Hit // what shadow policies would have said, their errors included
	// MaybePermit and MaybeForbid are set with Request.Unknown: a permit (also a
	// requestable one) or a forbid in force depends on what is not known.
	MaybePermit, MaybeForbid bool
	// Relations are the relation names that were asked, with the answers.
	Relations map[string]bool
}

// A Hit is one policy's part in a Result.
type Hit struct {
	ID     principal.UID `json:"id"`
	Handle string        `json:"handle"`
	Forbid bool          `json:"forbid,omitempty"`
	// Approval: a forbid annotated @approval, which an approval may lift.
	Approval bool   `json:"approval,omitempty"`
	Error    string `json:"error,omitempty"`
}
