package enforce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Call is one protocol call as a face parsed it. It knows no policy.
type Call struct {
	Presented Presented
	Server    string // handle, from the path
	Method    string // of the protocol: "tools/call", "initialize"
	Tool      string
	Arguments json.RawMessage // a JSON object, nil for none
	// Mission is the mission that the call names; "" when it names none.
	Mission principal.UID
}

// An Effect is what a face does with an Opened server. It runs at most once, and
// only after the decision entry is durable.
type Effect func(ctx context.Context, o Opened) (Result, error)

// A Result is what came of an effect, as far as the record needs it.
type Result struct {
	Status string // "ok", or "error" when the server answered with one
	Digest string // base64url SHA-256 of the answer
	Bytes  int
	// Took is how long the server took; 0 means as long as the effect ran.
	Took time.Duration
}

// an acting is a call whose presenter is known: steps 3 to 5 of the walk.
type acting struct {
	call    Call
	token   credential.Token
	snap    *decision.Snapshot
	subject directory.Delegated
	server  mapping.Server
	action  mapping.Action // what the call means in snap
	at      time.Time
	began   time.Time
}

// resolve gives a its meaning in the snapshot that it is decided on.
func (a *acting) resolve() (err error) {
	a.action, err = mapping.Resolve(a.snap.Catalogue, a.server.ID, a.call.Tool, a.call.Arguments)
	return err
}

// methods are the protocol's words that an entry may be named by.
var methods = []string{"initialize", "message", "notifications/cancelled", "notifications/initialized", "notifications/progress",
	"notifications/roots/list_changed", "ping", "response", "tools/call", "tools/list"}

// word names what the call asked for in a word that is not the caller's: a leaf
// stays for ever and can hold only so much. The payload says what was asked.
func (a *acting) word() string {
	if _, ok := a.snap.Catalogue.ToolByName(a.server.ID, a.call.Tool); ok {
		return a.call.Tool
	}
	if slices.Contains(methods, a.call.Method) {
		return a.call.Method
	}
	return "unknown"
}

// Act decides call, records the decision, runs effect with the permit, and
// records the outcome. A denial is a Decision, not an error; an error is a fault
// or the effect's own. Act MUST NOT run effect unless the decision entry is
// durable, and does not wait for the outcome entry to be.
func (s *Spine) Act(ctx context.Context, call Call, effect Effect) (Decision, error) {
	a, err := s.identify(ctx, call)
	if err != nil {
		return Decision{}, err
	}
	if err := a.resolve(); err != nil {
		return s.refuse(ctx, a, err)
	}
	v, committed, d, err := s.commit(ctx, a)
	if err != nil || !v.Allowed() {
		return d, err
	}
	permit, err := decision.NewPermit(v, committed)
	if err != nil {
		return d, err
	}
	opened, err := broker.Open(ctx, permit, a.server, s.Secrets)
	if err != nil {
		s.outcome(ctx, a, a.action, v, d.Entry, Result{Status: "unsent"}, 0)
		return d, err
	}
	start := time.Now()
	running, done := s.effects.begin(ctx, a)
	defer done() // once the outcome is on its way to the record
	result, err := effect(running, opened)
	if err != nil {
		result.Status = "lost"
		var f *broker.Failure
		if errors.As(err, &f) && !f.Sent {
			result.Status = "unsent"
		}
	}
	s.outcome(ctx, a, a.action, v, d.Entry, result, cmp.Or(result.Took, time.Since(start)))
	return d, err
}

// commit decides and commits until both agree on one state of the world: a
// moved epoch or a broken limit decides again on a fresher snapshot.
func (s *Spine) commit(ctx context.Context, a *acting) (decision.Verdict, ledger.Committed, Decision, error) {
	r := decision.Request{Subject: a.subject, Action: a.action, Mission: a.call.Mission, At: a.at}
	for range redecide {
		v := decision.Decide(a.snap, r)
		d := render(a.snap, v, s.Mint.New(principal.Entry), time.Since(a.began))
		entry := s.decided(a, a.action, v, d)
		if !v.Allowed() {
			lazy := v.Outcome() == decision.Deny
			_, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: entry, Lazy: lazy})
			return v, ledger.Committed{}, d, err
		}
		c, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1,
			Conditions: v.Conditions(), Charges: v.Charges(), Entry: entry})
		switch {
		case err == nil:
			return v, c, d, nil
		case errors.Is(err, ledger.ErrLimit):
			if r.Heads, err = s.heads(ctx, v); err != nil {
				return decision.Verdict{}, ledger.Committed{}, Decision{}, err
			}
		case errors.Is(err, ledger.ErrMoved):
			if err := s.fresher(ctx, a); err != nil {
				return decision.Verdict{}, ledger.Committed{}, Decision{}, err
			}
			if err := a.resolve(); err != nil {
				d, err := s.refuse(ctx, a, err)
				return decision.Verdict{}, ledger.Committed{}, d, err
			}
			r.Subject, r.Action, r.At = a.subject, a.action, a.at
		default:
			return decision.Verdict{}, ledger.Committed{}, Decision{}, err
		}
	}
	return decision.Verdict{}, ledger.Committed{}, Decision{},
		fault.New(fault.Unavailable, "the facts behind this call kept changing while it was decided").WithHint("retry the call")
}

func (s *Spine) heads(ctx context.Context, v decision.Verdict) (map[principal.UID]ledger.Head, error) {
	ids := make([]principal.UID, 0, len(v.Charges()))
	for _, c := range v.Charges() {
		ids = append(ids, c.Head)
	}
	return s.Store.Heads(ctx, s.Tenant, ids...)
}

// fresher moves a to a snapshot later than the one it was decided on, at the
// present moment, and resolves its chain and its server there again: what the
// server is and how it is reached may be what changed.
func (s *Spine) fresher(ctx context.Context, a *acting) error {
	snap, err := s.State.AtLeast(ctx, a.snap.Revision+1)
	if err != nil {
		return err
	}
	srv, ok := snap.Catalogue.ServerByHandle(a.call.Server)
	if !ok {
		return fault.New(fault.NotFound, "there is no server %q", a.call.Server)
	}
	a.snap, a.server, a.at = snap, srv, s.now()
	a.subject, err = s.chain(snap, a.token)
	return err
}

// Check answers whether a call of the session itself, initialize, ping or a
// notification, may be made: standing and mandate of every link.
func (s *Spine) Check(ctx context.Context, call Call) (Decision, error) {
	a, err := s.identify(ctx, call)
	if err != nil {
		return Decision{}, err
	}
	v, action := s.session(a)
	d := render(a.snap, v, s.Mint.New(principal.Entry), time.Since(a.began))
	e := s.decided(a, action, v, d)
	e.Kind = ledger.Check
	_, err = ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true})
	return d, err
}

func (s *Spine) session(a *acting) (decision.Verdict, mapping.Action) {
	action := mapping.Action{Server: a.server.ID, Name: a.word()}
	return decision.Decide(a.snap, decision.Request{Subject: a.subject, Action: action,
		Scope: decision.Session, Mission: a.call.Mission, At: a.at}), action
}

// Tools lists the pinned tools of a server that the caller may call: it hides
// what is certainly denied whatever the arguments will be. When the session
// itself is denied the Decision says so and the list is empty.
func (s *Spine) Tools(ctx context.Context, call Call) ([]mapping.Tool, Decision, error) {
	a, err := s.identify(ctx, call)
	if err != nil {
		return nil, Decision{}, err
	}
	v, action := s.session(a)
	var shown []mapping.Tool
	if v.Allowed() {
		for _, t := range a.snap.Catalogue.ToolsOf(a.server.ID) {
			q, err := mapping.Outline(a.snap.Catalogue, a.server.ID, t.Name)
			if err != nil {
				continue // a tool without meaning is never listed
			}
			if decision.Decide(a.snap, decision.Request{Subject: a.subject, Action: q, Mission: call.Mission, At: a.at}).Maybe() {
				shown = append(shown, t)
			}
		}
	}
	d := render(a.snap, v, s.Mint.New(principal.Entry), time.Since(a.began))
	e := s.decided(a, action, v, d)
	e.Kind, e.Payload = ledger.List, s.listed(a, action, v, d, shown)
	_, err = ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true})
	return shown, d, err
}

// Refuse records that a call of a known presenter meant nothing: an unknown
// method, a malformed argument. Nothing is forwarded.
func (s *Spine) Refuse(ctx context.Context, call Call, reason string) (Decision, error) {
	a, err := s.identify(ctx, call)
	if err != nil {
		return Decision{}, err
	}
	return s.refuse(ctx, a, fault.New(fault.Malformed, "%s", reason))
}

// refuse records a denial at the ceiling: nothing that has no meaning is inside
// any authority. Only a malformed call is refused so; other faults are passed on.
func (s *Spine) refuse(ctx context.Context, a *acting, why error) (Decision, error) {
	if fault.KindOf(why) != fault.Malformed && fault.KindOf(why) != fault.NotFound {
		return Decision{}, why
	}
	message, hint := fault.Safe(why)
	link := len(a.subject.Chain.Hops)
	acts := a.subject.Chain.Acting().Delegate
	f := Finding{Link: link, Principal: acts, Stage: decision.Ceiling, Reason: message}
	d := Decision{Outcome: decision.Deny.String(), Entry: s.Mint.New(principal.Entry), Revision: a.snap.Revision,
		Link: link, Stage: string(f.Stage), Principal: acts, Name: who(a.snap, acts), Reason: message, Next: hint,
		Findings: []Finding{f}, Took: time.Since(a.began)}
	e := s.decided(a, mapping.Action{Server: a.server.ID, Name: a.word()}, decision.Verdict{}, d)
	_, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true})
	return d, err
}
