package decision

import (
	"sync/atomic"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Finding is what one stage said of one link.
type Finding struct {
	Link      int           `json:"link"`
	Principal principal.UID `json:"principal"`
	Stage     Stage         `json:"stage"`
	Passed    bool          `json:"passed"`
	// Approvable: an approval could supply what is missing.
	Approvable bool `json:"approvable,omitempty"`
	// Reason is one sentence for people, with labels in place of uids.
	Reason string `json:"reason"`
	// Policies are those that determined the answer, erring ones included.
	Policies []policy.Hit `json:"policies,omitempty"`
	// Witness is the path of tuples behind each relation that held.
	Witness []relation.Tuple `json:"witness,omitempty"`
}

// A Verdict is what deciding returns. Only Decide makes one that allows; its
// zero value denies. It is immutable.
type Verdict struct {
	outcome  Outcome
	binding  int // index in findings, -1 when there is none
	findings []Finding
	shadow   []policy.Hit
	made     bool // by Decide; the zero Verdict was not
	subject  directory.Subject
	request  Request
	revision int64
	charges  []ledger.Charge
	conds    []ledger.Condition
}

// Outcome returns allow, deny or challenge.
func (v Verdict) Outcome() Outcome {
	if !v.made {
		return Deny
	}
	return v.outcome
}

// Allowed reports whether the verdict allows.
func (v Verdict) Allowed() bool { return v.Outcome() == Allow }

// Maybe reports, for a request whose arguments are unknown, that some arguments
// might be allowed, with or without an approval: a stage that depends on them
// counts as passed. Listing hides what this denies; no permit comes of it.
func (v Verdict) Maybe() bool { return v.made && v.outcome != Deny }

// Binding returns the finding that decided a deny or challenge.
func (v Verdict) Binding() (Finding, bool) {
	if v.made && v.binding >= 0 && v.binding < len(v.findings) {
		return v.findings[v.binding], true
	}
	return Finding{}, false
}

// Findings returns every stage that was asked, in order. Do not modify.
func (v Verdict) Findings() []Finding { return v.findings }

// Shadow returns what policies in shadow mode would have said.
func (v Verdict) Shadow() []policy.Hit { return v.shadow }

// Revision returns the store revision that was decided at.
func (v Verdict) Revision() int64 { return v.revision }

// Conditions returns what must still hold when the verdict is committed, and
// Charges what the commit charges (SEMANTICS section 7).
func (v Verdict) Conditions() []ledger.Condition { return v.conds }

// Charges returns what the commit charges. Empty unless the verdict allows.
func (v Verdict) Charges() []ledger.Charge { return v.charges }

// A Permit allows one effect, once. Its zero value allows nothing; only
// NewPermit makes others. It is safe for concurrent use.
type Permit struct {
	server, tool    principal.UID
	origin, mission principal.UID
	entry           principal.UID
	live            bool
	spent           atomic.Bool
}

// NewPermit makes the permit of an allowing verdict whose decision entry is
// durable.
func NewPermit(v Verdict, c ledger.Committed) (*Permit, error) {
	if !v.Allowed() {
		return nil, fault.New(fault.Denied, "no permit without an allowing verdict")
	}
	if v.request.Action.Unknown {
		return nil, fault.New(fault.Internal, "no permit for a call whose arguments are not known")
	}
	if c.Entry() == "" {
		return nil, fault.New(fault.Internal, "no permit without a durable decision entry")
	}
	p := &Permit{server: v.request.Action.Server, tool: v.request.Action.Tool, entry: c.Entry(), live: true}
	switch s := v.subject.(type) {
	case directory.Delegated:
		p.origin, p.mission = s.Chain.Mission.Origin, s.Chain.Mission.ID
	case directory.Direct:
		p.origin = s.Principal
	}
	return p, nil
}

// Spend uses p for an effect on server. It succeeds once.
func (p *Permit) Spend(server principal.UID) error {
	if p == nil || !p.live || p.server != server {
		return fault.New(fault.Internal, "this permit does not allow an effect on %s", server)
	}
	if p.spent.Swap(true) {
		return fault.New(fault.Internal, "the permit of %s was spent before", p.entry)
	}
	return nil
}

// Origin returns the person whose intent began the chain.
func (p *Permit) Origin() principal.UID { return p.origin }

// Mission returns the mission, "" for a direct subject.
func (p *Permit) Mission() principal.UID { return p.mission }

// Entry returns the decision entry.
func (p *Permit) Entry() principal.UID { return p.entry }
