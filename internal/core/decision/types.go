package decision

import (
	"time"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Scope says how much of the table is asked.
type Scope uint8

// The scopes. The zero Scope asks everything.
const (
	// Full asks every stage: a tool call, a management action.
	Full Scope = iota
	// Session asks standing and mandate only and charges nothing: initialize,
	// ping and notifications, and the issuing of a token for a hop.
	Session
	// Making asks standing, mandate and prohibition for the making of a child
	// hop; the hop's own rules are delegation.Child's.
	Making
)

// A Request is one question. Decide is a function of it and the Snapshot alone.
type Request struct {
	Subject directory.Subject
	Action  mapping.Action
	Scope   Scope
	// Mission is the mission that the call names; "" when it names none. It must
	// be the subject's.
	Mission principal.UID
	At      time.Time
	// Heads are the heads of the chain as last committed: volatile inputs. nil
	// means that they were not read: limits are then asked by the commit alone,
	// which fails with ledger.ErrLimit when one is broken, and the spine decides
	// again with the heads in hand to say which.
	Heads map[principal.UID]ledger.Head
	// Attributes of the resource, for a management action: owner, origin.
	Attributes map[string]any
	// Explain asks for every stage even after the first unapprovable failure.
	Explain bool
}

// An Outcome is allow, deny or challenge. The zero Outcome denies.
type Outcome uint8

// The outcomes of deciding.
const (
	Deny Outcome = iota
	Challenge
	Allow
)

// String returns "deny", "challenge" or "allow".
func (o Outcome) String() string { return [...]string{"deny", "challenge", "allow"}[o] }

// A Stage is one of the six questions of the table, in order.
type Stage string

// The stages (SEMANTICS section 5).
const (
	Standing    Stage = "standing"
	Mandate     Stage = "mandate"
	Ceiling     Stage = "ceiling"
	Entitlement Stage = "entitlement"
	Prohibition Stage = "prohibition"
	Signal      Stage = "signal"
)
