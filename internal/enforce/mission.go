package enforce

import (
	"context"
	"encoding/base64"
	"io"
	"slices"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// signedWithin is how old a person's statement may be when it is handed in: it
// was signed for this moment, not kept for a better one.
const signedWithin = 10 * time.Minute

// A MissionRequest is a mission as a person words it, with handles.
type MissionRequest struct {
	Agent     string           `json:"agent"`
	Intent    string           `json:"intent"`
	Authority authority.Set    `json:"authority"` // servers by handle; empty means the blueprint's whole ceiling
	Limits    authority.Limits `json:"limits,omitzero"`
	OnLimit   string           `json:"onLimit,omitempty"`
	Context   string           `json:"context,omitempty"` // "encounter/E1"
	For       int64            `json:"for"`               // seconds from now
	// Key is the thumbprint of the agent's enrolled key; "" takes its only one.
	Key string `json:"key,omitempty"`
}

// Draft resolves a mission's handles and returns the root statement for the
// person to read and sign. It changes nothing, and grants nothing: only the
// signed statement, handed to StartMission, does.
func (s *Spine) Draft(ctx context.Context, p Presented, q MissionRequest) (proof.Statement, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return proof.Statement{}, err
	}
	dir := d.snap.Directory
	id, ok := dir.Resolve("agent", q.Agent)
	if !ok {
		return proof.Statement{}, fault.New(fault.NotFound, "there is no agent %q", q.Agent)
	}
	agent, _ := dir.Agent(id)
	b, ok := dir.Blueprint(agent.Blueprint)
	if !ok {
		return proof.Statement{}, fault.New(fault.Conflict, "agent %s has no blueprint", q.Agent)
	}
	if err := s.may(ctx, d, createOn(b)); err != nil {
		return proof.Statement{}, err
	}
	st := proof.Statement{Issuer: string(d.id), Subject: string(id), Audience: s.Issuer,
		ID: string(s.Mint.New(principal.Hop)), Mission: string(s.Mint.New(principal.Mission)), Blueprint: string(b.ID),
		Limits: q.Limits, OnLimit: q.OnLimit, Depth: 1, Intent: q.Intent, Rooted: string(delegation.UserRooted)}
	if b.Entitlement == directory.Own {
		st.Rooted = string(delegation.OwnerRooted)
	}
	now := s.now()
	st.IssuedAt, st.Expiry = now.Unix(), now.Unix()+q.For
	if st.Confirm.JKT, err = onlyKey(agent, q.Key); err != nil {
		return proof.Statement{}, err
	}
	if q.Context != "" {
		c, ok := dir.Resolve("context", q.Context)
		if !ok {
			return proof.Statement{}, fault.New(fault.NotFound, "there is no context %q", q.Context).
				WithHint("open it first: ambit context open TYPE ID")
		}
		st.Context = string(c)
	}
	if st.Authority, err = resolveServers(d.snap, q.Authority); err != nil {
		return proof.Statement{}, err
	}
	if len(q.Authority) == 0 {
		st.Authority = slices.Clone(b.Ceiling) // the caller may edit its draft
		if frame, has := frameOf(d.snap, principal.UID(st.Context)); has {
			st.Authority = authority.Meet(b.Ceiling, frame)
		}
	}
	var nonce [16]byte
	if _, err := io.ReadFull(s.Mint.Entropy, nonce[:]); err != nil {
		return proof.Statement{}, fault.Wrap(fault.Internal, err, "entropy")
	}
	st.Nonce = base64.RawURLEncoding.EncodeToString(nonce[:])
	return st, nil
}

// onlyKey picks the agent's key that a statement confirms.
func onlyKey(a directory.Agent, jkt string) (string, error) {
	switch {
	case jkt == "" && len(a.Keys) == 1:
		return a.Keys[0].JKT, nil
	case jkt == "" && len(a.Keys) > 1:
		return "", fault.New(fault.Malformed, "agent %s has %d keys", a.Handle, len(a.Keys)).WithHint("name one of them")
	}
	for _, k := range a.Keys {
		if k.JKT == jkt {
			return jkt, nil
		}
	}
	return "", fault.New(fault.Denied, "agent %s has no such enrolled key", a.Handle).
		WithHint("enrol the agent's public key: agents[].key in the organisation's file")
}

// resolveServers puts uids in place of server handles.
func resolveServers(snap *decision.Snapshot, in authority.Set) (authority.Set, error) {
	out := make(authority.Set, len(in))
	for i, item := range in {
		if item.Server != "" {
			srv, ok := snap.Catalogue.ServerByHandle(item.Server)
			if !ok {
				if srv, ok = snap.Catalogue.Server(principal.UID(item.Server)); !ok {
					return nil, fault.New(fault.NotFound, "authority item %d: there is no server %q", i+1, item.Server)
				}
			}
			item.Server = string(srv.ID)
		}
		out[i] = item
	}
	return out, nil
}

// frameOf returns what the mapping of an open context admits, and whether the
// mission has a frame at all.
func frameOf(snap *decision.Snapshot, id principal.UID) (authority.Set, bool) {
	c, ok := snap.Directory.Context(id)
	if !ok {
		return nil, false
	}
	return mapping.FrameOf(snap.Catalogue, c.Type, c.Handle, c.Attributes)
}

// StartMission hands in a root statement that a person signed. The signature is
// the mandate; the presenter must be the signer.
type StartMission struct{ Statement string }

func (m StartMission) about(snap *decision.Snapshot) (target, error) {
	st, _, err := proof.ParseStatement(m.Statement)
	if err != nil {
		return target{}, fault.Wrap(fault.Malformed, err, "the statement does not parse: %v", err)
	}
	b, ok := snap.Directory.Blueprint(principal.UID(st.Blueprint))
	if !ok {
		return target{}, fault.New(fault.NotFound, "there is no blueprint %s", st.Blueprint)
	}
	return createOn(b), nil
}

func createOn(b directory.Blueprint) target {
	return target{"mission.create", "Blueprint:" + string(b.ID), map[string]any{"owner": cedarEntity(b.Owner)}}
}

func (m StartMission) plan(at *moment) (plan, error) {
	st, err := at.verify(m.Statement)
	if err != nil {
		return plan{}, err
	}
	dir := at.snap.Directory
	agent, ok := dir.Agent(principal.UID(st.Subject))
	if !ok || agent.Blueprint != principal.UID(st.Blueprint) {
		return plan{}, fault.New(fault.Denied, "%s is not an agent of blueprint %s", st.Subject, st.Blueprint)
	}
	if why := dir.Standing(agent.ID, at.at); why != "" {
		return plan{}, fault.New(fault.Denied, "agent %s cannot take a mission: %s", dir.Label(agent.ID), why)
	}
	key, ok := dir.KeyOf(agent.ID, st.Confirm.JKT)
	if !ok {
		return plan{}, fault.New(fault.Denied, "the statement confirms a key that agent %s has not enrolled", dir.Label(agent.ID))
	}
	b, _ := dir.Blueprint(agent.Blueprint)
	if st.Context != "" {
		if c, ok := dir.Context(principal.UID(st.Context)); !ok || !c.Open {
			return plan{}, fault.New(fault.Denied, "the context of this mission is not open")
		}
	}
	frame, hasFrame := frameOf(at.snap, principal.UID(st.Context))
	mission, hop, err := delegation.Root(delegation.RootProposal{Statement: st, Compact: m.Statement,
		Blueprint: b.ID, Ceiling: b.Ceiling, Owner: agent.Owner, Own: b.Entitlement == directory.Own, Frame: frame, HasFrame: hasFrame}, at.at)
	if err != nil {
		return plan{}, err
	}
	if _, taken := at.snap.Missions.Mission(mission.ID); taken {
		return plan{}, fault.New(fault.Conflict, "mission %s was started before", mission.ID)
	}
	// The signer chose this id too, and whoever overwrites a hop ends its mission.
	if _, taken := at.snap.Missions.Hop(hop.ID); taken {
		return plan{}, fault.New(fault.Conflict, "hop %s was made before", hop.ID)
	}
	return plan{
		rows:    append(missionRows(mission), row("hop", hop.ID, "", hop)),
		once:    []ledger.Once{made(hop.ID, at.at)},
		objects: map[string]principal.UID{"mission": mission.ID, "hop": hop.ID},
		lines:   []string{dir.Label(mission.Origin) + " asked " + dir.Label(agent.ID) + " to " + mission.Intent},
		mission: mission.ID, origin: mission.Origin, key: key.JWK, names: hopNames(at.snap, hop),
	}, nil
}

// hopNames labels what a hop speaks of: who is at its ends, and the servers in its
// authority.
func hopNames(snap *decision.Snapshot, h delegation.Hop) map[principal.UID]string {
	n := labels(snap, h.Delegator, h.Delegate)
	for _, item := range h.Authority {
		if srv, ok := snap.Catalogue.Server(principal.UID(item.Server)); ok {
			n[srv.ID] = srv.Handle
		}
	}
	return n
}

// verify checks that the actor signed a statement for this tenant, now.
func (at *moment) verify(compact string) (proof.Statement, error) {
	st, kid, err := proof.ParseStatement(compact)
	if err != nil {
		return st, fault.Wrap(fault.Malformed, err, "the statement does not parse: %v", err)
	}
	if principal.UID(st.Issuer) != at.actor {
		return st, fault.New(fault.Denied, "the statement was signed by %s and handed in by %s", st.Issuer, at.actor)
	}
	key, ok := at.snap.Directory.KeyOf(at.actor, kid)
	if !ok {
		return st, fault.New(fault.Denied, "the statement is signed with a key that %s has not enrolled", at.snap.Directory.Label(at.actor))
	}
	if st, err = proof.VerifyStatement(compact, key.JWK); err != nil {
		return st, fault.Wrap(fault.Denied, err, "the statement's signature does not verify")
	}
	if st.Audience != at.issuer {
		return st, fault.New(fault.Denied, "the statement is for %s, this is %s", st.Audience, at.issuer)
	}
	signed := time.Unix(st.IssuedAt, 0)
	if signed.After(at.at.Add(5*time.Second)) || at.at.Sub(signed) > signedWithin {
		return st, fault.New(fault.Denied, "the statement was signed at %s, too far from now", signed.UTC().Format(time.RFC3339)).
			WithHint("check the clock, and sign again")
	}
	return st, nil
}

// EndMission ends a mission as done.
type EndMission struct{ ID principal.UID }

func (m EndMission) about(snap *decision.Snapshot) (target, error) {
	return missionTarget("mission.end", m.ID, snap)
}

func (m EndMission) plan(at *moment) (plan, error) { return endMission(at, m.ID, delegation.Done) }

func endMission(at *moment, id principal.UID, state delegation.State) (plan, error) {
	mission, _ := at.snap.Missions.Mission(id)
	if mission.State == state || mission.State == delegation.Revoked {
		return plan{objects: map[string]principal.UID{"mission": id}}, nil // ending twice is ending once
	}
	mission.State, mission.Ended = state, at.at
	return plan{rows: missionRows(mission), bump: []principal.UID{id}, mission: id, origin: mission.Origin,
		objects: map[string]principal.UID{"mission": id},
		lines:   []string{at.snap.Directory.Label(at.actor) + " ended the mission (" + string(state) + ")"}}, nil
}

func missionRows(m delegation.Mission) []ledger.Row { return []ledger.Row{row("mission", m.ID, "", m)} }

// missionTarget names a mission for policies, with its origin and the owner of
// the agent that holds its root.
func missionTarget(action string, id principal.UID, snap *decision.Snapshot) (target, error) {
	m, ok := snap.Missions.Mission(id)
	if !ok {
		return target{}, fault.New(fault.NotFound, "there is no mission %s", id)
	}
	t := target{action, "Mission:" + string(id), map[string]any{"origin": cedarEntity(m.Origin)}}
	if h, ok := snap.Missions.Hop(m.Root); ok {
		if a, ok := snap.Directory.Agent(h.Delegate); ok {
			t.attributes["owner"] = cedarEntity(a.Owner)
		}
	}
	return t, nil
}

func cedarEntity(id principal.UID) policy.Entity { return decision.Entity(id) }
