package enforce

import (
	"sort"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Revoke ends one node for good: an agent, a mission or a hop, and with it all
// that descends from it. Revoking twice is revoking once.
type Revoke struct{ Node principal.UID }

func (m Revoke) about(snap *decision.Snapshot) (target, error) {
	switch m.Node.Prefix() {
	case principal.Agent:
		a, ok := snap.Directory.Agent(m.Node)
		if !ok {
			return target{}, fault.New(fault.NotFound, "there is no agent %s", m.Node)
		}
		return target{"agent.revoke", "Agent:" + string(a.ID), map[string]any{"owner": cedarEntity(a.Owner)}}, nil
	case principal.Mission:
		return missionTarget("mission.revoke", m.Node, snap)
	case principal.Hop:
		h, ok := snap.Missions.Hop(m.Node)
		if !ok {
			return target{}, fault.New(fault.NotFound, "there is no hop %s", m.Node)
		}
		return missionTarget("mission.revoke", h.Mission, snap)
	}
	return target{}, fault.New(fault.Malformed, "%q is not an agent, a mission or a hop", m.Node)
}

func (m Revoke) plan(at *moment) (plan, error) {
	switch m.Node.Prefix() {
	case principal.Mission:
		return endMission(at, m.Node, delegation.Revoked)
	case principal.Hop:
		return m.hop(at)
	}
	a, _ := at.snap.Directory.Agent(m.Node)
	if a.State == directory.Revoked {
		return plan{objects: map[string]principal.UID{"agent": a.ID}}, nil
	}
	a.State = directory.Revoked
	p := plan{rows: []ledger.Row{row("agent", a.ID, a.Handle, a)}, objects: map[string]principal.UID{"agent": a.ID},
		lines: []string{"agent " + at.snap.Directory.Label(a.ID) + " was revoked by " + at.snap.Directory.Label(at.actor)}}
	seen := map[principal.UID]bool{}
	for _, id := range at.snap.Missions.ByDelegate(a.ID) {
		h, _ := at.snap.Missions.Hop(id)
		if !seen[h.Mission] {
			seen[h.Mission] = true
			p.bump = append(p.bump, h.Mission)
		}
	}
	sortUIDs(p.bump)
	return p, nil
}

func (m Revoke) hop(at *moment) (plan, error) {
	h, _ := at.snap.Missions.Hop(m.Node)
	mission, _ := at.snap.Missions.Mission(h.Mission)
	if h.State == delegation.Revoked {
		return plan{objects: map[string]principal.UID{"hop": h.ID}}, nil
	}
	h.State = delegation.Revoked
	p := plan{rows: []ledger.Row{row("hop", h.ID, "", h)}, bump: []principal.UID{h.Mission}, mission: h.Mission, origin: mission.Origin,
		objects: map[string]principal.UID{"hop": h.ID},
		lines:   []string{"the delegation to " + at.snap.Directory.Label(h.Delegate) + " was revoked by " + at.snap.Directory.Label(at.actor)}}
	var err error
	p.charges, err = at.returned(h)
	return p, err
}

// returned gives what a hop that ends has not used of its escrow back to the heads
// that it came from. A charge of nothing on the hop's own head guards what was
// read: if a call was counted since, the commit fails and is planned again.
func (at *moment) returned(h delegation.Hop) ([]ledger.Charge, error) {
	if h.Parent == "" || h.Escrow == (delegation.Limits{}) {
		return nil, nil
	}
	parent, err := at.snap.Missions.Chain(h.Parent)
	if err != nil {
		return nil, err
	}
	heads, err := at.heads(h.ID)
	if err != nil {
		return nil, err
	}
	used := heads[h.ID]
	guard := ledger.Charge{Head: h.ID, Limit: ledger.Unlimited()}
	guard.Limit.Calls, guard.Limit.Cost, guard.Limit.Rows = used.Calls, used.Cost, used.Rows
	out := []ledger.Charge{guard}
	left := func(escrow *int64, used int64) int64 {
		if escrow == nil || *escrow <= used {
			return 0
		}
		return *escrow - used
	}
	for _, head := range parent.Escrow(h.Escrow) {
		out = append(out, ledger.Charge{Head: head.Head, Limit: ledger.Unlimited(), Calls: -left(head.Limits.Calls, used.Calls),
			Cost: -left(head.Limits.Cost, used.Cost), Rows: -left(head.Limits.Rows, used.Rows)})
	}
	return out, nil
}

func sortUIDs(ids []principal.UID) { sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] }) }
