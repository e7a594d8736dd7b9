package enforce

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// Administrators is the handle of the group that may do every management action.
const Administrators = organisation.Administrators

// Apply makes the organisation what the declarative file says, in one revision.
// Shown are the tools that each new or changed server showed, by handle. The
// file's tests run on the result before anything is written.
type Apply struct {
	Document organisation.Document
	Shown    map[string][]json.RawMessage
}

func (m Apply) about(snap *decision.Snapshot) (target, error) {
	return organisationTarget("organisation.apply", snap), nil
}

func (m Apply) plan(at *moment) (plan, error) {
	pl, err := organisation.NewPlan(at.snap, m.Document, m.Shown, at.actor, at.at, at.mint)
	if err != nil {
		return plan{}, err
	}
	if len(pl.Rows) > 0 || len(m.Document.Tests) > 0 {
		next, err := at.snap.Apply(at.snap.Revision, pl.Rows)
		if err != nil {
			return plan{}, fault.Wrap(fault.Malformed, err, "the organisation does not hold together: %v", err)
		}
		if err := failing(organisation.RunTests(next, m.Document, at.at)); err != nil {
			return plan{}, err
		}
	}
	out := plan{rows: pl.Rows, bump: pl.Bump, objects: map[string]principal.UID{}}
	for _, l := range pl.Changes {
		out.lines = append(out.lines, l.String())
	}
	return out, nil
}

// failing makes one fault of the tests that did not come out as they should.
func failing(results []organisation.TestResult) error {
	var bad []string
	for _, r := range results {
		if !r.Passed {
			bad = append(bad, r.String())
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fault.New(fault.Malformed, "%d of %d tests fail; nothing was applied:\n%s", len(bad), len(results), strings.Join(bad, "\n")).
		WithHint("mend the file or its tests, and apply again")
}

// Unprobed returns the servers of a document whose tools have to be seen before
// it can be applied.
func (s *Spine) Unprobed(ctx context.Context, p Presented, doc organisation.Document) ([]mapping.Server, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := s.may(ctx, d, organisationTarget("organisation.apply", d.snap)); err != nil {
		return nil, err
	}
	return organisation.NeedsProbe(d.snap, doc), nil
}

// Probe lists what a server shows, so that it can be pinned. Starting a command
// or calling a URL is an effect: it is decided, and its entry is durable first.
func (s *Spine) Probe(ctx context.Context, p Presented, server mapping.Server, up Upstreams) ([]json.RawMessage, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return nil, err
	}
	v, dec, t, err := s.manage(d, func(snap *decision.Snapshot) (target, error) {
		return organisationTarget("server.probe", snap), nil
	}, server.ID)
	if err != nil {
		return nil, err
	}
	if !v.Allowed() {
		return nil, s.refused(ctx, d, t, dec)
	}
	e := s.managed(ledger.Decision, d, t, dec)
	e.Server = server.ID
	e.Payload = encode(deed{Server: server.ID, ServerName: server.Handle, Action: t.action, Resource: t.resource,
		Outcome: dec.Outcome, Reasons: dec.Findings, Names: map[principal.UID]string{d.id: d.snap.Directory.Label(d.id)}})
	committed, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Conditions: v.Conditions(), Entry: e})
	if err != nil {
		return nil, err
	}
	permit, err := decision.NewPermit(v, committed)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	opened, err := broker.Open(ctx, permit, server, s.Secrets)
	var tools []json.RawMessage
	if err == nil {
		tools, err = up.Tools(ctx, opened)
	}
	s.probed(ctx, d, t, e, server, tools, err, time.Since(start))
	if err != nil {
		return nil, fault.Wrap(fault.Upstream, err, "server %s did not show its tools: %v", server.Handle, err).
			WithHint("check its command or URL; nothing was applied")
	}
	return tools, nil
}

// probed records the outcome of a probe.
func (s *Spine) probed(ctx context.Context, d *directing, t target, parent ledger.Entry, server mapping.Server, tools []json.RawMessage, failed error, took time.Duration) {
	e := s.record(ledger.Outcome, s.now(), nil)
	e.ID, e.Parent, e.Actor, e.Origin, e.Action, e.Server = s.Mint.New(principal.Entry), parent.ID, d.id, d.id, t.action, server.ID
	e.Bound, e.Revision, e.Pins = d.bound, parent.Revision, parent.Pins
	status := "ok"
	if failed != nil {
		status = "error"
	}
	e.Payload = encode(map[string]any{"status": status, "tools": len(tools), "us": took.Microseconds()})
	if _, err := ledger.Append(context.WithoutCancel(ctx), s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true}); err != nil {
		s.Logger.ErrorContext(ctx, "outcome not recorded", "decision", parent.ID, "error", err)
	}
}

// An Enrolment is the first administrator: a person and the key that they hold.
type Enrolment struct {
	Handle   string
	Name     string
	JWK      []byte // public
	Evidence string // how it is known whose key this is: "admin.sock, uid 1000"
}

// Enrol makes the first administrator, the group and the built-in policies. It
// works once: as soon as an administrator exists it is refused, whoever asks.
// The caller is the local door that vouches for the person (SEMANTICS section
// 11), which is why no token is presented.
func (s *Spine) Enrol(ctx context.Context, q Enrolment) (Changed, error) {
	snap, err := s.State.Current()
	if err != nil {
		return Changed{}, err
	}
	if _, exists := snap.Directory.Resolve("group", Administrators); exists {
		return Changed{}, fault.New(fault.Denied, "the first administrator was enrolled before; this door is closed").
			WithHint("ask an administrator to enrol you: users[].key in the organisation's file")
	}
	if q.Handle == "" || strings.ContainsAny(q.Handle, " \t\n/:#") {
		return Changed{}, fault.New(fault.Malformed, "%q cannot be a handle", q.Handle)
	}
	jkt, err := proof.Thumbprint(q.JWK)
	if err != nil {
		return Changed{}, fault.Wrap(fault.Malformed, err, "the key is not a public ES256 JWK: %v", err)
	}
	now := s.now()
	g := directory.Group{ID: s.Mint.New(principal.Group), Handle: Administrators, Name: "Administrators"}
	u := directory.User{ID: s.Mint.New(principal.User), Handle: q.Handle, Name: q.Name, State: directory.Active,
		Groups: []principal.UID{g.ID}}
	u.Keys = []directory.Key{{JKT: jkt, JWK: q.JWK, Enrolled: now, Evidence: q.Evidence, By: u.ID}}
	pl := plan{rows: []ledger.Row{row("group", g.ID, g.Handle, g), row("user", u.ID, u.Handle, u)},
		lines: []string{q.Handle + " enrolled as the first administrator (" + q.Evidence + ")"}}
	for _, b := range policy.Builtin(g.ID) {
		pl.rows = append(pl.rows, row("policy", b.ID, b.Handle, b))
	}
	d := &directing{id: u.ID, bound: "peer", snap: snap, began: time.Now()}
	dec := Decision{Outcome: decision.Allow.String(), Entry: s.Mint.New(principal.Entry)}
	e := s.changed(d, organisationTarget("user.enrol", snap), dec, pl)
	c, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, Rows: pl.rows, At: snap.Revision, Entry: e})
	if err != nil {
		return Changed{}, err
	}
	s.seen(ctx, c)
	return Changed{e.ID, c.Receipt().Revision, map[string]principal.UID{"user": u.ID, "group": g.ID}, pl.lines}, nil
}

// labels collects names for a payload; it is total.
func labels(snap *decision.Snapshot, ids ...principal.UID) map[principal.UID]string {
	m := make(map[principal.UID]string, len(ids))
	for _, id := range ids {
		m[id] = snap.Directory.Label(id)
	}
	return m
}
