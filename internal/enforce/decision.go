package enforce

import (
	"fmt"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Decision is a verdict as faces render it: plain data, safe to show to
// whoever asked. The zero Decision reads as a denial.
type Decision struct {
	Outcome  string        `json:"outcome"` // allow, deny or challenge
	Entry    principal.UID `json:"entry,omitempty"`
	Revision int64         `json:"revision"`
	// Link, Stage, Principal, Name and Reason are the binding finding's; empty
	// when allowed.
	Link      int           `json:"link"`
	Stage     string        `json:"stage,omitempty"`
	Principal principal.UID `json:"principal,omitempty"`
	Name      string        `json:"name,omitempty"` // "agent assistant"
	Reason    string        `json:"reason,omitempty"`
	// Next is what to do about it.
	Next string `json:"next,omitempty"`
	// Depends: it was asked without arguments, and allowed for some.
	Depends  bool         `json:"depends,omitempty"`
	Findings []Finding    `json:"findings,omitempty"`
	Shadow   []policy.Hit `json:"shadow,omitempty"`
	// Took is what deciding cost, in nanoseconds.
	Took time.Duration `json:"took"`

	snap *decision.Snapshot // to name whom findings are about
}

// Allowed reports whether d allows.
func (d Decision) Allowed() bool { return d.Outcome == decision.Allow.String() }

// Sentence renders d in one line: "denied: link 1 (agent assistant) · ceiling ·
// records.read of P2 is outside what was delegated".
func (d Decision) Sentence() string {
	switch d.Outcome {
	case decision.Allow.String():
		var why []string
		for _, f := range d.Findings {
			if f.Stage == decision.Entitlement || f.Stage == decision.Ceiling {
				why = append(why, who(d.snap, f.Principal)+": "+f.Reason)
			}
		}
		return "allowed: " + strings.Join(why, " · ")
	case decision.Challenge.String():
		return fmt.Sprintf("needs approval: link %d (%s) · %s · %s", d.Link, d.Name, d.Stage, d.Reason)
	}
	return fmt.Sprintf("denied: link %d (%s) · %s · %s", d.Link, d.Name, d.Stage, d.Reason)
}

// Denied is the cause of the fault that a refused Change or Issue returns: the
// caller gets the decision, not only its sentence.
type Denied struct{ Decision Decision }

func (d *Denied) Error() string { return d.Decision.Sentence() }

// denied turns a refusal into a fault.
func denied(d Decision) error {
	e := fault.Wrap(fault.Denied, &Denied{d}, "%s", d.Sentence())
	if d.Next != "" {
		e = e.WithHint("%s", d.Next)
	}
	return e
}

// render makes the Decision of a verdict.
func render(snap *decision.Snapshot, v decision.Verdict, entry principal.UID, took time.Duration) Decision {
	d := Decision{Outcome: v.Outcome().String(), Entry: entry, Revision: v.Revision(),
		Findings: v.Findings(), Shadow: v.Shadow(), Took: took, snap: snap}
	if f, ok := v.Binding(); ok {
		d.Link, d.Stage, d.Principal, d.Reason = f.Link, string(f.Stage), f.Principal, f.Reason
		d.Name = who(snap, f.Principal)
		d.Next = next(f)
	}
	return d
}

// who names a principal for people: "agent assistant".
func who(snap *decision.Snapshot, id principal.UID) string {
	kind := ""
	switch id.Prefix() {
	case principal.User:
		kind = "user "
	case principal.Agent:
		kind = "agent "
	case principal.Workload:
		kind = "workload "
	}
	if kind == "" || snap == nil {
		return string(id)
	}
	return kind + snap.Directory.Label(id)
}

// next says what a person can do about a refusal.
func next(f Finding) string {
	switch {
	case f.Approvable && f.Stage == decision.Ceiling:
		// A mission stays inside the ceiling, so another one would not include it.
		return "an approval could add it, and this version has none; until then the blueprint's ceiling has to include it"
	case f.Approvable && f.Stage == decision.Mandate:
		return "start a new mission with a larger limit: ambit mission start"
	case f.Approvable:
		return "an approval could permit it, and this version has none; until then the policy has to change"
	case f.Stage == decision.Standing:
		return "an administrator can restore what is disabled or name a live owner; what is revoked stays revoked"
	case f.Stage == decision.Mandate:
		return "start a new mission: ambit mission start"
	case f.Stage == decision.Ceiling:
		return "only a new mission, inside the blueprint's ceiling, can include this"
	case f.Stage == decision.Entitlement:
		return "the organisation's relations and policies must permit it first"
	case f.Stage == decision.Prohibition:
		return "the policy that forbids it has to change first"
	}
	return ""
}
