package enforce

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A deed is the payload of a decision, check or list entry: what was asked, in
// plain form, and what was answered and why. The leaf commits to it.
type deed struct {
	Type       string                     `json:"type,omitempty"`
	Server     principal.UID              `json:"server,omitempty"`
	ServerName string                     `json:"serverName,omitempty"`
	Action     string                     `json:"action"`
	Asked      string                     `json:"asked,omitempty"` // in the caller's words, where they are not the action
	Resource   string                     `json:"resource,omitempty"`
	Arguments  map[string]json.RawMessage `json:"arguments,omitempty"`
	Effect     string                     `json:"effect,omitempty"`
	Outcome    string                     `json:"outcome"`
	Binding    *Finding                   `json:"binding,omitempty"`
	Reasons    []Finding                  `json:"reasons,omitempty"`
	Shadow     any                        `json:"shadow,omitempty"`
	Listed     []string                   `json:"listed,omitempty"`
	Names      map[principal.UID]string   `json:"names"`
}

// maxAsked bounds what is kept of a name that means nothing.
const maxAsked = 128

// record starts an entry with what every entry of a chain carries.
func (s *Spine) record(kind ledger.Kind, at time.Time, c *delegation.Chain) ledger.Entry {
	e := ledger.Entry{Time: at, Kind: kind, Class: ledger.Standard, Salt: s.salt()}
	if c != nil && len(c.Hops) > 0 {
		hop := c.Acting()
		e.Actor, e.Origin, e.Mission, e.Hop = hop.Delegate, c.Mission.Origin, c.Mission.ID, hop.ID
		e.Run, e.Delegation = runOf(hop.ID), hop.Commitment
	}
	return e
}

// runOf names the run of a hop: one agent instance in one mission. A hop has
// exactly one delegate, so the run shares its identifier.
func runOf(hop principal.UID) principal.UID {
	return principal.UID(string(principal.Run) + string(hop)[len(principal.Hop):])
}

// salt draws the secret of one payload's commitment.
func (s *Spine) salt() (b [32]byte) {
	if _, err := io.ReadFull(s.Mint.Entropy, b[:]); err != nil {
		panic("enforce: entropy: " + err.Error()) // an unsalted commitment would expose what it hides
	}
	return b
}

// decided makes the decision entry of a call.
func (s *Spine) decided(a *acting, action mapping.Action, v decision.Verdict, d Decision) ledger.Entry {
	e := s.record(ledger.Decision, a.at, &a.subject.Chain)
	e.ID, e.Server, e.Action = d.Entry, action.Server, action.Name
	e.Decision, e.Bound, e.Revision, e.Pins = d.Outcome, a.token.Bound(), a.snap.Revision, a.snap.Pins()
	if !d.Allowed() {
		e.Binding = fmt.Sprintf("link %d %s", d.Link, d.Stage)
	}
	e.Payload = encode(s.answered(a, action, v, d))
	return e
}

// answered says what was asked and what the answer was.
func (s *Spine) answered(a *acting, action mapping.Action, v decision.Verdict, d Decision) deed {
	p := s.deed(a, action)
	p.Outcome, p.Reasons = d.Outcome, d.Findings
	if len(d.Shadow) > 0 {
		p.Shadow = d.Shadow
	}
	if f, ok := v.Binding(); ok {
		p.Binding = &f
	}
	return p
}

func (s *Spine) deed(a *acting, action mapping.Action) deed {
	p := deed{Type: string(action.Type), Server: a.server.ID, ServerName: a.server.Handle, Action: action.Name,
		Resource: action.Resource, Arguments: action.Arguments, Effect: string(action.Effect),
		Names: map[principal.UID]string{}}
	for i := range len(a.subject.Chain.Hops) + 1 {
		id := a.subject.Chain.Link(i)
		p.Names[id] = a.snap.Directory.Label(id)
	}
	if asked := cmp.Or(a.call.Tool, a.call.Method); asked != action.Name {
		p.Asked = strings.ToValidUTF8(asked[:min(len(asked), maxAsked)], "")
	}
	return p
}

func (s *Spine) listed(a *acting, action mapping.Action, v decision.Verdict, d Decision, tools []mapping.Tool) json.RawMessage {
	p := s.answered(a, action, v, d)
	for _, t := range tools {
		p.Listed = append(p.Listed, t.Name)
	}
	return encode(p)
}

// encode is json.Marshal of a value that can always be encoded.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("enforce: payload: " + err.Error()) // a record that cannot be written must not be skipped
	}
	return b
}

// outcome records what came of a permitted effect, in a batch that the caller
// does not wait for. A call that never left returns what it had reserved. It
// outlives the caller's context: the effect happened whether or not the caller
// still listens.
func (s *Spine) outcome(ctx context.Context, a *acting, action mapping.Action, v decision.Verdict, parent principal.UID, r Result, took time.Duration) {
	e := s.record(ledger.Outcome, s.now(), &a.subject.Chain)
	e.ID, e.Parent, e.Server, e.Action = s.Mint.New(principal.Entry), parent, action.Server, action.Name
	e.Bound, e.Revision, e.Pins = a.token.Bound(), v.Revision(), a.snap.Pins()
	e.Payload = encode(struct {
		Status string `json:"status"`
		Bytes  int    `json:"bytes"`
		Digest string `json:"digest,omitempty"`
		Micros int64  `json:"us"`
	}{r.Status, r.Bytes, r.Digest, took.Microseconds()})
	c := ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true}
	if r.Status == "unsent" {
		for _, ch := range v.Charges() {
			ch.Calls, ch.Cost, ch.Rows, ch.Rate = -ch.Calls, -ch.Cost, -ch.Rows, false
			c.Charges = append(c.Charges, ch)
		}
	}
	// A decision without an outcome is itself a finding (SEMANTICS section 6),
	// so a failure here is logged and seen; it cannot undo the effect.
	if _, err := ledger.Append(context.WithoutCancel(ctx), s.Store, c); err != nil {
		s.Logger.ErrorContext(ctx, "outcome not recorded", "decision", parent, "error", err)
	}
}
