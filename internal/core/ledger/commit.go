package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
)

// An Entry is one record as the spine writes it: everything of a leaf that is
// known at commit, and the payload in plain form. The floor adds the writer's
// order, the sequencer the index and the run's counter.
type Entry struct {
	ID       principal.UID
	Time     time.Time
	Kind     Kind
	Class    string        // retention class; "" means Standard
	Actor    principal.UID // who acted
	Origin   principal.UID // the person whose intent began it
	Mission  principal.UID
	Hop      principal.UID // the acting hop
	Run      principal.UID // counts entries without a gap; "" when no run is meant
	Parent   principal.UID // an outcome's decision entry
	Server   principal.UID
	Action   string
	Decision string // allow, deny, challenge; "" where nothing was decided
	Binding  string // "link 1 ceiling"
	Bound    string // "dpop", "bearer", "jws", "peer": how the presenter proved its key
	// Delegation is the commitment of the acting hop's signed statement.
	Delegation string
	Revision   int64  // store revision the verdict was computed at
	Pins       string // hash of model, policies and mapping
	Inputs     string // hash of volatile inputs
	// Payload is the readable record: arguments, resource, reasons, result
	// digest. It never enters a leaf; a salted commitment does.
	Payload json.RawMessage
	// Salt is 32 random bytes that the spine drew for this payload.
	Salt [32]byte
}

// A Kind is what an entry records (SEMANTICS section 6).
type Kind string

// The kinds of entry.
const (
	Decision Kind = "decision"
	Outcome  Kind = "outcome"
	Issue    Kind = "issue"
	Check    Kind = "check"
	List     Kind = "list"
	Change   Kind = "change"
)

// Standard is the retention class of an entry that names none.
const Standard = "standard"

// A Row is one change of one object of the snapshot: the unit of the revision
// log. Body is the object's JSON after the change, nil when it is deleted.
// Rows of one commit have distinct (Kind, Key).
type Row struct {
	Kind string `json:"kind"` // "user", "agent", "mission", "hop", "tuple" …: the noun's table
	Key  string `json:"key"`  // its uid, or a tuple's canonical text
	// Handle is the label that must be unique per kind and tenant; "" when the
	// noun has none. The floor enforces it with fault.Conflict.
	Handle string          `json:"handle,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// A Head is the row that commits of one mission, hop or tenant are conditioned
// on: an epoch that everything that ends or narrows bumps, and the counters of
// its limits (SEMANTICS section 7).
type Head struct {
	// Epoch is the revision of the last commit that bumped this head, 0 when
	// none did. It is a revision and not a count, so that "unchanged since the
	// snapshot I decided on" needs no read: a stale snapshot has a lower revision.
	Epoch int64 `json:"epoch"`
	// Counters of a mission or of a hop with limits of its own.
	Calls int64   `json:"calls,omitempty"`
	Cost  int64   `json:"cost,omitempty"`
	Rows  int64   `json:"rows,omitempty"`
	Rate  []int64 `json:"rate,omitempty"` // instants of the calls in the sliding window, microseconds
	// Children is the number of live child hops.
	Children int64 `json:"children,omitempty"`
}

// InWindow counts the calls of h in the window of length per that ends at now.
func (h Head) InWindow(now time.Time, per time.Duration) int64 {
	from, n := now.Add(-per).UnixMicro(), int64(0)
	for _, at := range h.Rate {
		if at > from {
			n++
		}
	}
	return n
}

// A Limit bounds one Head. A negative bound means that kind is not limited here.
type Limit struct {
	Calls, Cost, Rows int64
	RateN             int64
	RatePer           time.Duration
	Children          int64
}

// Unlimited returns the Limit that bounds nothing. The zero Limit bounds
// everything at zero: a charge that forgot its limit fails.
func Unlimited() Limit { return Limit{Calls: -1, Cost: -1, Rows: -1, RateN: -1, Children: -1} }

// A Charge is what one commit does to one head.
type Charge struct {
	Head  principal.UID // mission, hop or tenant
	Limit Limit         // must still hold after the charge
	// Calls … Children are added; negative returns what was reserved. An
	// addition to Rate records one call now.
	Calls, Cost, Rows, Children int64
	Rate                        bool
}

// A Condition is what must still be true when a commit takes effect: nothing
// bumped Head after revision Epoch, the one that the verdict was computed at.
// It holds when head.Epoch <= Epoch, and for a head that does not exist.
type Condition struct {
	Head  principal.UID
	Epoch int64
}

// A Commit is one atomic write. The floor MUST apply all of it or none of it,
// and MUST NOT return success before it is durable:
// conditions are checked, charges applied within their limits, bumps made, rows
// written to their tables and to the revision log, the entry appended.
type Commit struct {
	Tenant     principal.UID
	Conditions []Condition
	Charges    []Charge
	// Bump sets the epoch of these heads to the revision of this commit, creating
	// them if absent: whatever ends or narrows something names every mission it
	// touches here. A commit with a bump takes a revision even without rows.
	Bump []principal.UID
	// Rows are the changes. When not empty the commit takes the next revision.
	Rows []Row
	// At, when not negative, is the revision the rows were planned at: the
	// commit fails with fault.Conflict if any later revision exists.
	At int64
	// Once are keys (token ids, proofs) that must never have been used; each is
	// remembered until its expiry. A repeated key fails with fault.Unauthenticated.
	Once  []Once
	Entry Entry
	// Lazy permits the floor to acknowledge before the entry is durable, within
	// 250 ms, in a bounded queue: outcomes, denials, checks and lists
	// (SEMANTICS section 6). A full queue answers fault.Unavailable. A lazy
	// commit with conditions, charges that can fail, bumps, rows or once-keys is
	// refused as a programming error; charges that only return are allowed.
	Lazy bool
}

// A Once is a value that may be presented one time.
type Once struct {
	Key    string // hash of issuer and jti
	Expiry time.Time
}

// A Receipt is the floor's answer to a commit.
type Receipt struct {
	Revision int64                  // of the rows, or the latest one when there were none
	N        int64                  // the entry's place in the writer's order; 0 when Lazy
	Head     map[principal.UID]Head // heads as charged, for explanations
}

// ErrMoved is wrapped by the fault that a commit returns when a condition no
// longer holds: decide again on a fresher snapshot. ErrLimit is wrapped when a
// charge would pass its limit. Both have kind fault.Conflict.
var (
	ErrMoved = moved{}
	ErrLimit = limit{}
)

type moved struct{}

func (moved) Error() string { return "an epoch moved since the decision" }

type limit struct{}

func (limit) Error() string { return "a limit would be passed" }

// A Store is what the spine needs of the floor. All methods are safe for
// concurrent use.
type Store interface {
	// Commit applies c as Commit's comment promises. Commits from one caller
	// that follow each other take effect in that order.
	Commit(ctx context.Context, c Commit) (Receipt, error)
	// Heads returns the heads that exist among ids, as last committed.
	Heads(ctx context.Context, tenant principal.UID, ids ...principal.UID) (map[principal.UID]Head, error)
}

// A Committed says that an entry is durable. Only Append makes one; its zero
// value is worth nothing.
type Committed struct {
	entry   principal.UID
	receipt Receipt
}

// Entry returns the uid of the durable entry, "" for the zero value.
func (c Committed) Entry() principal.UID { return c.entry }

// Receipt returns what the floor answered.
func (c Committed) Receipt() Receipt { return c.receipt }

// Append commits c and returns the proof that its entry is durable. A lazy
// commit yields the zero Committed: it cannot carry a Permit.
func Append(ctx context.Context, s Store, c Commit) (Committed, error) {
	r, err := s.Commit(ctx, c)
	if err != nil {
		return Committed{}, err
	}
	if c.Lazy {
		return Committed{}, nil
	}
	return Committed{entry: c.Entry.ID, receipt: r}, nil
}
