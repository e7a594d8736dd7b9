package enforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Mutation is one thing that a person or machine may change. The set is
// closed: each is a type of this package, so that no face can invent a write.
type Mutation interface {
	// about names the action and the resource that deciding is asked about.
	about(*decision.Snapshot) (target, error)
	// plan computes the rows; it reads the snapshot and writes nothing.
	plan(*moment) (plan, error)
}

// A target is what a management action is about.
type target struct {
	action     string         // "mission.create"
	resource   string         // "Blueprint:bpr_…"
	attributes map[string]any // for policies: owner, origin
}

// A moment is what a plan may depend on.
type moment struct {
	snap   *decision.Snapshot
	actor  principal.UID
	at     time.Time
	mint   principal.Minter
	issuer string
	// heads reads counters as last committed.
	heads func(ids ...principal.UID) (map[principal.UID]ledger.Head, error)
}

// A plan is what a mutation comes to at one moment.
type plan struct {
	rows    []ledger.Row
	bump    []principal.UID
	charges []ledger.Charge
	once    []ledger.Once
	objects map[string]principal.UID // what was made, by name
	lines   []string                 // for people: what changed
	mission principal.UID            // the mission it belongs to, if one
	origin  principal.UID
	key     json.RawMessage          // public, the one that a hop among the rows confirms
	names   map[principal.UID]string // labels that its story needs
}

// Changed is what a Change did.
type Changed struct {
	Entry    principal.UID            `json:"entry,omitempty"`
	Revision int64                    `json:"revision"`
	Objects  map[string]principal.UID `json:"objects,omitempty"`
	Lines    []string                 `json:"lines,omitempty"`
}

// Change decides, plans and commits a mutation by a direct subject, with its
// entry, in one transaction. Planning that changes nothing writes nothing. A
// refusal is a fault.Denied that wraps *Denied.
func (s *Spine) Change(ctx context.Context, p Presented, m Mutation) (Changed, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return Changed{}, err
	}
	for range redecide {
		v, dec, t, err := s.manage(d, m.about, "")
		if err != nil {
			return Changed{}, err
		}
		if !v.Allowed() {
			return Changed{}, s.refused(ctx, d, t, dec)
		}
		mo := &moment{snap: d.snap, actor: d.id, at: s.now(), mint: s.Mint, issuer: s.Issuer,
			heads: func(ids ...principal.UID) (map[principal.UID]ledger.Head, error) {
				return s.Store.Heads(ctx, s.Tenant, ids...)
			}}
		pl, err := m.plan(mo)
		if err != nil {
			return Changed{}, s.unplanned(ctx, d, t, dec, plainly(d.snap, err))
		}
		if len(pl.rows) == 0 && len(pl.bump) == 0 {
			return Changed{Revision: d.snap.Revision, Objects: pl.objects}, nil
		}
		e := s.changed(d, t, dec, pl)
		c, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, Conditions: v.Conditions(),
			Charges: pl.charges, Bump: pl.bump, Rows: pl.rows, Once: pl.once, At: d.snap.Revision, Entry: e})
		if err == nil {
			s.seen(ctx, c)
			return Changed{e.ID, c.Receipt().Revision, pl.objects, pl.lines}, nil
		}
		if fault.KindOf(err) != fault.Conflict {
			return Changed{}, err
		}
		if errors.Is(err, ledger.ErrLimit) {
			continue // a counter moved since it was read
		}
		if d.snap, err = s.State.AtLeast(ctx, d.snap.Revision+1); err != nil {
			return Changed{}, fault.Wrap(fault.Conflict, err, "the change conflicts with one that is already there")
		}
	}
	return Changed{}, fault.New(fault.Unavailable, "other changes kept coming first").WithHint("retry")
}

// seen waits until the caller's own write is in the snapshot that its next call
// decides on. It is a courtesy: the write stands, so a wait in vain is no error.
func (s *Spine) seen(ctx context.Context, c ledger.Committed) {
	if _, err := s.State.AtLeast(ctx, c.Receipt().Revision); err != nil {
		s.Logger.WarnContext(ctx, "own write not seen yet", "entry", c.Entry(), "error", err)
	}
}

// a directing is a direct subject at work: who presented, on which snapshot.
type directing struct {
	id      principal.UID
	bound   string
	snap    *decision.Snapshot
	subject directory.Subject
	began   time.Time
}

// manage decides a management action. server is the one that its effect is on,
// "" for none: the permit is for that server only.
func (s *Spine) manage(d *directing, about func(*decision.Snapshot) (target, error), server principal.UID) (decision.Verdict, Decision, target, error) {
	t, err := about(d.snap)
	if err != nil {
		return decision.Verdict{}, Decision{}, t, err
	}
	v := decision.Decide(d.snap, decision.Request{Subject: d.subject, At: s.now(), Attributes: t.attributes,
		Action: mapping.Action{Name: t.action, Resource: t.resource, Server: server}})
	return v, render(d.snap, v, s.Mint.New(principal.Entry), time.Since(d.began)), t, nil
}

// managed starts the entry of a direct subject's action.
func (s *Spine) managed(kind ledger.Kind, d *directing, t target, dec Decision) ledger.Entry {
	e := s.record(kind, s.now(), nil)
	e.ID, e.Actor, e.Origin, e.Action = dec.Entry, d.id, d.id, t.action
	e.Decision, e.Bound, e.Revision, e.Pins = dec.Outcome, d.bound, d.snap.Revision, d.snap.Pins()
	if !dec.Allowed() {
		e.Binding = fmt.Sprintf("link %d %s", dec.Link, dec.Stage)
	}
	return e
}

// refused records a denied management action and returns it as a fault.
func (s *Spine) refused(ctx context.Context, d *directing, t target, dec Decision) error {
	e := s.managed(ledger.Check, d, t, dec)
	e.Payload = encode(deed{Action: t.action, Resource: t.resource, Outcome: dec.Outcome, Reasons: dec.Findings,
		Names: map[principal.UID]string{d.id: d.snap.Directory.Label(d.id)}})
	if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true}); err != nil {
		return err
	}
	return denied(dec)
}

// unplanned records an entitled change that its room refused (a hop that is too
// wide, an owner who is not live), so that attempts are seen too.
func (s *Spine) unplanned(ctx context.Context, d *directing, t target, dec Decision, why error) error {
	if fault.KindOf(why) != fault.Denied {
		return why
	}
	message, _ := fault.Safe(why)
	dec.Outcome, dec.Stage, dec.Reason = decision.Deny.String(), string(decision.Ceiling), message
	dec.Principal, dec.Name = d.id, who(d.snap, d.id)
	dec.Findings = append(dec.Findings, Finding{Principal: d.id, Stage: decision.Ceiling, Reason: message})
	if err := s.refused(ctx, d, t, dec); fault.KindOf(err) != fault.Denied {
		return err
	}
	return why
}

// a record of change is the payload of a change entry; its rows are what the
// leaf's rows digest is of.
type alteration struct {
	Mutation string                   `json:"mutation"`
	Resource string                   `json:"resource,omitempty"`
	Summary  []string                 `json:"summary,omitempty"`
	Rows     []ledger.Row             `json:"rows"`
	Key      json.RawMessage          `json:"key,omitempty"` // that the root hop confirms
	Reasons  []Finding                `json:"reasons,omitempty"`
	Names    map[principal.UID]string `json:"names"`
}

func (s *Spine) changed(d *directing, t target, dec Decision, pl plan) ledger.Entry {
	e := s.managed(ledger.Change, d, t, dec)
	e.Mission = pl.mission
	if pl.origin != "" {
		e.Origin = pl.origin
	}
	a := alteration{Mutation: t.action, Resource: t.resource, Summary: pl.lines, Rows: pl.rows, Key: pl.key, Reasons: dec.Findings,
		Names: map[principal.UID]string{d.id: d.snap.Directory.Label(d.id)}}
	maps.Copy(a.Names, pl.names)
	for _, r := range pl.rows {
		if id := principal.UID(r.Key); r.Handle != "" && id.Prefix() != "" {
			a.Names[id] = r.Handle
		}
	}
	e.Payload = encode(a)
	return e
}

// row makes the change row of one object; nil deletes it.
func row(kind string, key principal.UID, handle string, body any) ledger.Row {
	r := ledger.Row{Kind: kind, Key: string(key), Handle: handle}
	if body != nil {
		r.Body = json.RawMessage(encode(body))
	}
	return r
}

// organisationTarget is the target of actions on the tenant as a whole.
func organisationTarget(action string, snap *decision.Snapshot) target {
	return target{action: action, resource: "Organisation:" + string(snap.Tenant)}
}
