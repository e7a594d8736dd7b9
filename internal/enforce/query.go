package enforce

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// A Question asks what would be decided; nothing is forwarded or charged.
type Question struct {
	Agent     string          `json:"agent"`
	Action    string          `json:"action"`             // "server.tool"
	Resource  string          `json:"resource,omitempty"` // "type:id"; taken from the arguments when ""
	Arguments json.RawMessage `json:"arguments,omitempty"`
	For       string          `json:"for,omitempty"` // user; the agent's owner when ""
	// Mission asks about the agent's place in a live mission. Without one the
	// question is about a hypothetical root hop with the blueprint's whole
	// ceiling, no limits, in Context.
	Mission principal.UID     `json:"mission,omitempty"`
	Context map[string]string `json:"context,omitempty"` // type → id, and the context's attributes
}

// Can answers a question with every stage of every link.
func (s *Spine) Can(ctx context.Context, p Presented, q Question) (Decision, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return Decision{}, err
	}
	subject, about, err := s.supposed(d, q)
	if err != nil {
		return Decision{}, err
	}
	if err := s.may(ctx, d, about); err != nil {
		return Decision{}, err
	}
	srv, tool, ok := strings.Cut(q.Action, ".")
	server, known := d.snap.Catalogue.ServerByHandle(srv)
	if !ok || !known {
		return Decision{}, fault.New(fault.NotFound, "there is no action %q", q.Action).WithHint("an action is server.tool")
	}
	action, err := organisation.Action(d.snap, server.ID, tool, q.Resource, q.Arguments)
	if err != nil {
		return Decision{}, err
	}
	began := time.Now()
	v := decision.Decide(d.snap, decision.Request{Subject: subject, Action: action, At: s.now(), Explain: true})
	out := render(d.snap, v, s.Mint.New(principal.Entry), time.Since(began))
	out.Depends = action.Unknown && v.Allowed()
	e := s.managed(ledger.Check, d, target{action: "decision.ask", resource: about.resource}, Decision{Outcome: decision.Allow.String(), Entry: out.Entry})
	e.Payload = encode(map[string]any{"question": q, "outcome": out.Outcome, "reasons": out.Findings, "names": labels(d.snap, d.id)})
	_, err = ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true})
	return out, err
}

// supposed builds the subject that a question is about, and whose it is.
func (s *Spine) supposed(d *directing, q Question) (directory.Subject, target, error) {
	id, ok := d.snap.Directory.Resolve("agent", q.Agent)
	if !ok {
		return nil, target{}, fault.New(fault.NotFound, "there is no agent %q", q.Agent)
	}
	agent, _ := d.snap.Directory.Agent(id)
	about := target{"decision.ask", "Agent:" + string(id), map[string]any{"owner": cedarEntity(agent.Owner)}}
	if q.Mission != "" {
		for _, h := range d.snap.Missions.ByDelegate(id) {
			if hop, _ := d.snap.Missions.Hop(h); hop.Mission == q.Mission {
				c, err := d.snap.Missions.Chain(h)
				about.attributes["origin"] = cedarEntity(c.Mission.Origin)
				return directory.Delegated{Chain: c}, about, err
			}
		}
		return nil, about, fault.New(fault.NotFound, "agent %s has no place in mission %s", q.Agent, q.Mission)
	}
	origin := agent.Owner
	if q.For != "" {
		if origin, ok = d.snap.Directory.Resolve("user", q.For); !ok {
			return nil, about, fault.New(fault.NotFound, "there is no user %q", q.For)
		}
	}
	subject, err := organisation.Hypothetical(d.snap, origin, id, q.Context, s.now())
	return subject, about, err
}

// may decides a read by a direct subject, and records a refusal.
func (s *Spine) may(ctx context.Context, d *directing, t target) error {
	v, dec, t, err := s.manage(d, func(*decision.Snapshot) (target, error) { return t, nil }, "")
	if err != nil {
		return err
	}
	if !v.Allowed() {
		return s.refused(ctx, d, t, dec)
	}
	return nil
}

// read decides a read about a mission and records it, with what it was about.
func (s *Spine) read(ctx context.Context, p Presented, action string, mission principal.UID) (*directing, delegation.Mission, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return nil, delegation.Mission{}, err
	}
	t, err := missionTarget(action, mission, d.snap)
	if err != nil {
		return nil, delegation.Mission{}, err
	}
	if err := s.may(ctx, d, t); err != nil {
		return nil, delegation.Mission{}, err
	}
	s.effects.settle(ctx, mission)
	e := s.managed(ledger.List, d, t, Decision{Outcome: decision.Allow.String(), Entry: s.Mint.New(principal.Entry)})
	e.Payload = encode(map[string]any{"query": action, "mission": mission, "names": labels(d.snap, d.id)})
	// Durable, though a read need not be: the floor keeps its order, so every
	// outcome that was batched before this entry is there to be read after it.
	if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e}); err != nil {
		return nil, delegation.Mission{}, err
	}
	m, _ := d.snap.Missions.Mission(mission)
	return d, m, nil
}

// A MissionView is a mission as it stands, for people.
type MissionView struct {
	Mission delegation.Mission            `json:"mission"`
	Hops    []delegation.Hop              `json:"hops"`
	Heads   map[principal.UID]ledger.Head `json:"heads"`
	Names   map[principal.UID]string      `json:"names"`
}

// Show returns a mission, its hops and what is used of its limits.
func (s *Spine) Show(ctx context.Context, p Presented, id principal.UID) (MissionView, error) {
	d, m, err := s.read(ctx, p, "mission.show", id)
	if err != nil {
		return MissionView{}, err
	}
	v := MissionView{Mission: m, Names: labels(d.snap, m.Origin)}
	if m.Context != "" {
		v.Names[m.Context] = d.snap.Directory.Label(m.Context)
	}
	heads := []principal.UID{id}
	for _, hop := range d.snap.Missions.HopsOf(id) {
		v.Hops = append(v.Hops, hop)
		v.Names[hop.Delegate] = d.snap.Directory.Label(hop.Delegate)
		heads = append(heads, hop.ID)
		for _, item := range hop.Effective {
			if srv, ok := d.snap.Catalogue.Server(principal.UID(item.Server)); ok {
				v.Names[srv.ID] = srv.Handle
			}
		}
	}
	v.Heads, err = s.Store.Heads(ctx, s.Tenant, heads...)
	return v, err
}

// Story tells what happened in a mission, from the ledger alone.
func (s *Spine) Story(ctx context.Context, p Presented, id principal.UID) (history.Tree, error) {
	if _, _, err := s.read(ctx, p, "mission.story", id); err != nil {
		return history.Tree{}, err
	}
	if err := s.Flush(ctx); err != nil {
		return history.Tree{}, err
	}
	return history.Tell(ctx, s.Log, s.Tenant, id)
}

// Export returns the evidence of a mission, for a stranger to verify.
func (s *Spine) Export(ctx context.Context, p Presented, id principal.UID) (proof.Bundle, error) {
	if _, _, err := s.read(ctx, p, "mission.export", id); err != nil {
		return proof.Bundle{}, err
	}
	if err := s.Flush(ctx); err != nil {
		return proof.Bundle{}, err
	}
	return history.Bundle(ctx, s.Log, s.Tenant, id, s.LogKey)
}

// A Self is who the presenter is.
type Self struct {
	ID     principal.UID `json:"id"`
	Handle string        `json:"handle"`
	Issuer string        `json:"issuer"`
	Tenant principal.UID `json:"tenant"`
	// LogKey verifies the tenant's checkpoints: what to pin before evidence comes
	// from elsewhere.
	LogKey string `json:"logKey"`
}

// Whoami answers who presents.
func (s *Spine) Whoami(ctx context.Context, p Presented) (Self, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return Self{}, err
	}
	if err := s.may(ctx, d, target{action: "whoami", resource: "Organisation:" + string(s.Tenant)}); err != nil {
		return Self{}, err
	}
	return Self{d.id, d.snap.Directory.Label(d.id), s.Issuer, s.Tenant, s.LogKey}, nil
}
