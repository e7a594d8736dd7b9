package decision

import (
	"fmt"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Decide answers r on s. It walks the links from the origin to the acting
// principal and the stages top to bottom, in the order that names the binding
// finding, and intersects: every link must pass every stage that is its to pass.
// Results are never united.
//
// It is pure and it always answers: trouble is a finding that denies.
func Decide(s *Snapshot, r Request) Verdict {
	d := decider{s: s, r: r, v: Verdict{made: true, binding: -1, subject: r.Subject, request: r, revision: s.Revision}}
	switch subject := r.Subject.(type) {
	case directory.Direct:
		d.direct(subject)
	case directory.Delegated:
		d.delegated(subject.Chain)
	case directory.System:
		d.system()
	default:
		d.add(Finding{Stage: Standing, Reason: "no subject: nobody asks"})
	}
	d.settle()
	return d.v
}

// A decider is the state of one Decide; it never outlives it.
type decider struct {
	s *Snapshot
	r Request
	v Verdict
	// stopped says that an unapprovable failure was found and no explanation of
	// the rest was asked for.
	stopped bool
}

func (d *decider) add(f Finding) {
	d.v.findings = append(d.v.findings, f)
	if !f.Passed && !f.Approvable && !d.r.Explain {
		d.stopped = true
	}
}

// settle turns findings into the verdict: deny on the first unapprovable failure
// in link and stage order, else challenge on the first failure, else allow. No
// finding at all denies: an empty table has asked nothing.
func (d *decider) settle() {
	v := &d.v
	challenge := -1
	for i, f := range v.findings {
		switch {
		case f.Passed:
		case !f.Approvable:
			v.outcome, v.binding = Deny, i
			v.charges = nil
			return
		case challenge < 0:
			challenge = i
		}
	}
	if challenge >= 0 {
		v.outcome, v.binding, v.charges = Challenge, challenge, nil
		return
	}
	if len(v.findings) > 0 {
		v.outcome = Allow
	}
}

func (d *decider) standing(link int, id principal.UID) {
	f := Finding{Link: link, Principal: id, Stage: Standing}
	if why := d.s.Directory.Standing(id, d.r.At); why != "" {
		f.Reason = why
	} else {
		f.Passed, f.Reason = true, "active"+d.ownedBy(id)
	}
	d.add(f)
}

func (d *decider) ownedBy(id principal.UID) string {
	if a, ok := d.s.Directory.Agent(id); ok {
		return ", owned by " + d.s.Directory.Label(a.Owner)
	}
	return ""
}

// direct asks standing, entitlement and prohibition; it never challenges.
func (d *decider) direct(subject directory.Direct) {
	id := subject.Principal
	if !id.Is(principal.User) && !id.Is(principal.Workload) {
		d.add(Finding{Principal: id, Stage: Standing, Reason: "an agent is never a direct subject"})
		return
	}
	d.v.conds = []ledger.Condition{{Head: d.s.Tenant, Epoch: d.s.Revision}}
	d.standing(0, id)
	if !d.stopped {
		d.policies(0, id, true)
	}
}

// system allows the five words that make things smaller, and nothing else, ever.
func (d *decider) system() {
	f := Finding{Principal: principal.System, Stage: Entitlement}
	verb := d.r.Action.Name[strings.LastIndexByte(d.r.Action.Name, '.')+1:]
	switch verb {
	case "narrow", "quarantine", "revoke", "expire", "seal":
		f.Passed, f.Reason = true, "the system may "+verb
	default:
		f.Reason = "the system may narrow, quarantine, revoke, expire and seal, and nothing else"
	}
	d.add(f)
}

func (d *decider) delegated(c delegation.Chain) {
	if len(c.Hops) == 0 {
		d.add(Finding{Stage: Mandate, Reason: "the chain is empty"})
		return
	}
	d.v.conds = []ledger.Condition{
		{Head: c.Mission.ID, Epoch: d.s.Revision},
		{Head: d.s.Tenant, Epoch: d.s.Revision},
	}
	d.v.findings = make([]Finding, 0, 2+5*len(c.Hops))
	heads := delegation.Limited(c)
	d.charge(heads)
	for link := 0; link <= len(c.Hops); link++ {
		id := c.Link(link)
		steps := []func(){
			func() { d.standing(link, id) },
			func() { d.mandate(c, link, heads) },
			func() { d.ceiling(c, link) },
			func() { d.policies(link, id, d.entitled(c, link)) },
		}
		for _, step := range steps {
			if step(); d.stopped {
				return
			}
		}
	}
}

// entitled says whether the entitlement stage is this link's (SEMANTICS section
// 5): a user origin's and an own agent's; an owner origin was asked when the
// mission was made, and a delegated agent's ceiling is asked instead.
func (d *decider) entitled(c delegation.Chain, link int) bool {
	if d.r.Scope != Full {
		return false
	}
	if link == 0 {
		return c.Mission.Rooted == delegation.UserRooted
	}
	b, _ := d.s.Directory.Blueprint(c.Hops[link-1].Blueprint)
	return b.Entitlement == directory.Own
}

func (d *decider) mandate(c delegation.Chain, link int, heads []delegation.LimitedHead) {
	if link == 0 {
		return
	}
	f := Finding{Link: link, Principal: c.Link(link), Stage: Mandate}
	hop := c.Hops[link-1]
	why := d.live(hop)
	if why == "" && link == 1 {
		why = d.missionLive(c)
	}
	if why != "" {
		f.Reason = why
		d.add(f)
		return
	}
	if d.r.Scope == Full {
		for _, h := range heads {
			if h.Link != link {
				continue
			}
			if why := d.over(h); why != "" {
				f.Reason = why
				f.Approvable = c.Mission.OnLimit == delegation.AskOnLimit && d.priceable(h)
				d.add(f)
				return
			}
		}
	}
	f.Passed, f.Reason = true, "until "+clock(hop.Expiry)
	d.add(f)
}

func (d *decider) live(h delegation.Hop) string {
	if h.State != delegation.Active {
		return "the delegation to " + d.s.Directory.Label(h.Delegate) + " is " + stateWord(h.State)
	}
	if !d.r.At.Before(h.Expiry) {
		return "the delegation to " + d.s.Directory.Label(h.Delegate) + " ended at " + clock(h.Expiry)
	}
	// What was delegated was measured against the ceiling of one class.
	if a, ok := d.s.Directory.Agent(h.Delegate); ok && a.Blueprint != h.Blueprint {
		return "it was delegated to an agent of blueprint " + d.s.Directory.Label(h.Blueprint) + ", and " + d.s.Directory.Label(h.Delegate) + " is one of " + d.s.Directory.Label(a.Blueprint) + " now"
	}
	return ""
}

// missionLive asks what is the mission's as a whole; it is bound to link 1, the
// root hop.
func (d *decider) missionLive(c delegation.Chain) string {
	m := c.Mission
	if m.State != delegation.Active {
		return "the mission is " + stateWord(m.State)
	}
	if d.r.Mission != "" && d.r.Mission != m.ID {
		return "the call names mission " + string(d.r.Mission) + " and the token is of " + string(m.ID)
	}
	if m.Rooted == delegation.OwnerRooted {
		// Its origin is never asked for a permit, because its agent is.
		if b, _ := d.s.Directory.Blueprint(c.Hops[0].Blueprint); b.Entitlement != directory.Own {
			return "blueprint " + b.Handle + " does not act on its own account any more"
		}
	}
	if m.Context != "" {
		ctx, ok := d.s.Directory.Context(m.Context)
		if !ok || !ctx.Open {
			return strings.TrimSpace(ctx.Type+" "+d.s.Directory.Label(m.Context)) + " is closed"
		}
	}
	if a := d.r.Action; a.Server != "" {
		srv, ok := d.s.Catalogue.Server(a.Server)
		if !ok || srv.Revoked {
			return "the server " + d.label(a.Server) + " is revoked"
		}
		if a.Tool != "" {
			if t, ok := d.s.Catalogue.Tool(a.Tool); !ok || t.Revoked {
				return "the tool " + a.Name + " of " + d.label(a.Server) + " is revoked"
			}
		}
	}
	return ""
}

// over says which limit of h this call would pass, counting calls in flight,
// when the heads were read.
func (d *decider) over(h delegation.LimitedHead) string {
	if !d.priceable(h) {
		return "the mission limits what calls may cost, and " + d.r.Action.Name + " has no price"
	}
	if d.r.Heads == nil || d.r.Action.Unknown {
		return ""
	}
	head, l := d.r.Heads[h.Head], h.Limits
	switch {
	case l.Calls != nil && head.Calls+1 > *l.Calls:
		return fmt.Sprintf("%d of %d calls are used", head.Calls, *l.Calls)
	case l.Cost != nil && head.Cost+d.r.Action.Cost > *l.Cost:
		return fmt.Sprintf("this call costs %d and %d of %d are left", d.r.Action.Cost, *l.Cost-head.Cost, *l.Cost)
	case l.Rows != nil && head.Rows+d.r.Action.Rows > *l.Rows:
		return fmt.Sprintf("this call asks for %d rows and %d of %d are left", d.r.Action.Rows, *l.Rows-head.Rows, *l.Rows)
	case l.Rate != nil && head.InWindow(d.r.At, time.Duration(l.Rate.Per)*time.Second)+1 > l.Rate.N:
		return fmt.Sprintf("%d calls in %s are allowed, and were made", l.Rate.N, time.Duration(l.Rate.Per)*time.Second)
	}
	return ""
}

// priceable is false when a head limits cost or rows and the mapping cannot say
// what this call takes: such a call fails the limit rather than pass for free.
func (d *decider) priceable(h delegation.LimitedHead) bool {
	if d.r.Action.Unknown {
		return true
	}
	return (h.Limits.Cost == nil || d.r.Action.Cost >= 0) && (h.Limits.Rows == nil || d.r.Action.Rows >= 0)
}

// charge plans what an allowing verdict's commit takes from the heads.
func (d *decider) charge(heads []delegation.LimitedHead) {
	if d.r.Scope != Full || d.r.Action.Unknown {
		return
	}
	for _, h := range heads {
		c := ledger.Charge{Head: h.Head, Limit: ledger.Unlimited()}
		if l := h.Limits.Calls; l != nil {
			c.Calls, c.Limit.Calls = 1, *l
		}
		if l := h.Limits.Cost; l != nil {
			c.Cost, c.Limit.Cost = d.r.Action.Cost, *l
		}
		if l := h.Limits.Rows; l != nil {
			c.Rows, c.Limit.Rows = d.r.Action.Rows, *l
		}
		if l := h.Limits.Rate; l != nil {
			c.Rate, c.Limit.RateN, c.Limit.RatePer = true, l.N, time.Duration(l.Per)*time.Second
		}
		if c.Calls > 0 || c.Cost > 0 || c.Rows > 0 || c.Rate {
			d.v.charges = append(d.v.charges, c)
		}
	}
}

func (d *decider) ceiling(c delegation.Chain, link int) {
	if link == 0 || d.r.Scope != Full {
		return
	}
	hop := c.Hops[link-1]
	f := Finding{Link: link, Principal: hop.Delegate, Stage: Ceiling}
	q := d.question()
	switch hop.Effective.Match(q) {
	case authority.Yes:
		f.Passed, f.Reason = true, "within what was delegated"
	case authority.Maybe:
		f.Passed, f.Reason = true, "depends on the arguments"
	default:
		f.Reason = d.call() + " is outside what was delegated: " + d.people(hop.Effective)
		f.Approvable = d.requestable(c, hop, q)
		if f.Approvable {
			f.Reason += "; blueprint " + d.s.Directory.Label(hop.Blueprint) + " may request it"
		}
	}
	d.add(f)
}

// requestable says whether an approval could put q into the hop: it is in what
// the delegate's blueprint may request beyond its ceiling, and inside the frame,
// which nothing leaves. What is inside the ceiling and not in the hop was left
// out by whoever delegated, and no approval undoes that.
func (d *decider) requestable(c delegation.Chain, hop delegation.Hop, q authority.Request) bool {
	b, ok := d.s.Directory.Blueprint(hop.Blueprint)
	if !ok || b.Requestable.Match(q) == authority.No || b.Ceiling.Match(q) == authority.Yes {
		return false
	}
	return !c.Mission.HasFrame || c.Mission.Frame.Match(q) != authority.No
}

func (d *decider) question() authority.Request {
	a := d.r.Action
	return authority.Request{Type: a.Type, Server: string(a.Server), Action: a.Name,
		Resource: a.Resource, Arguments: a.Arguments, Unknown: a.Unknown}
}
