package enforce

import (
	"sort"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

type ledgerRow = ledger.Row

// OpenContext opens an encounter, a ticket. Opening one that is open changes
// nothing; opening one that was closed makes another, so that missions of the
// first stay closed.
type OpenContext struct {
	Type, Handle string
	Attributes   map[string]string
}

func (m OpenContext) about(snap *decision.Snapshot) (target, error) {
	if m.Type == "" || m.Handle == "" || strings.ContainsAny(m.Type+m.Handle, "/ \t\n") {
		return target{}, fault.New(fault.Malformed, "a context has a type and an id without spaces or slashes")
	}
	return organisationTarget("context.open", snap), nil
}

func (m OpenContext) plan(at *moment) (plan, error) {
	handle := m.Type + "/" + m.Handle
	var rows []ledgerRow
	if id, ok := at.snap.Directory.Resolve("context", handle); ok {
		old, _ := at.snap.Directory.Context(id)
		if old.Open {
			return plan{objects: map[string]principal.UID{"context": id}}, nil
		}
		rows = append(rows, row("context", id, "", old)) // gives its handle up
	}
	c := directory.Context{ID: at.mint.New(principal.Context), Type: m.Type, Handle: m.Handle, Attributes: m.Attributes, Open: true}
	return plan{rows: append(rows, row("context", c.ID, handle, c)), objects: map[string]principal.UID{"context": c.ID},
		lines: []string{m.Type + " " + m.Handle + " was opened"}}, nil
}

// CloseContext closes a context; every mission in it is over with this commit.
type CloseContext struct{ Type, Handle string }

func (m CloseContext) about(snap *decision.Snapshot) (target, error) {
	if _, ok := snap.Directory.Resolve("context", m.Type+"/"+m.Handle); !ok {
		return target{}, fault.New(fault.NotFound, "there is no %s %s", m.Type, m.Handle)
	}
	return organisationTarget("context.close", snap), nil
}

func (m CloseContext) plan(at *moment) (plan, error) {
	id, _ := at.snap.Directory.Resolve("context", m.Type+"/"+m.Handle)
	c, _ := at.snap.Directory.Context(id)
	if !c.Open {
		return plan{objects: map[string]principal.UID{"context": id}}, nil
	}
	c.Open = false
	p := plan{rows: []ledgerRow{row("context", id, m.Type+"/"+m.Handle, c)}, objects: map[string]principal.UID{"context": id},
		lines: []string{m.Type + " " + m.Handle + " was closed"}}
	p.bump = at.snap.Missions.ByContext(id)
	return p, nil
}

// WriteRelations writes and deletes relationship tuples. Principals may be named
// by handle: user:clinician.
type WriteRelations struct{ Write, Delete []relation.Tuple }

func (m WriteRelations) about(snap *decision.Snapshot) (target, error) {
	if len(m.Write)+len(m.Delete) == 0 {
		return target{}, fault.New(fault.Malformed, "no tuple to write or delete")
	}
	return organisationTarget("relation.write", snap), nil
}

func (m WriteRelations) plan(at *moment) (plan, error) {
	p := plan{}
	seen := map[string]bool{}
	add := func(t relation.Tuple, write bool) error {
		label := t.String()
		t, err := resolveTuple(at.snap, t)
		if err != nil {
			return err
		}
		if seen[t.String()] {
			return fault.New(fault.Malformed, "%s is named twice", label)
		}
		seen[t.String()] = true
		if at.snap.Relations.Has(t) == write {
			return nil
		}
		r := ledgerRow{Kind: "tuple", Key: t.String()}
		verb := "removed"
		if write {
			if err := at.snap.Relations.Validate(t); err != nil {
				return err
			}
			r.Body, verb = encode(t), "written"
		}
		p.rows, p.lines = append(p.rows, r), append(p.lines, "relation "+label+" was "+verb)
		return nil
	}
	for _, t := range m.Write {
		if err := add(t, true); err != nil {
			return plan{}, err
		}
	}
	for _, t := range m.Delete {
		if err := add(t, false); err != nil {
			return plan{}, err
		}
	}
	return p, nil
}

// resolveTuple puts uids in place of handles of principals, and refuses the
// types that relations may not speak about.
func resolveTuple(snap *decision.Snapshot, t relation.Tuple) (relation.Tuple, error) {
	for _, end := range []*string{&t.Object, &t.Subject} {
		typ, rest, ok := strings.Cut(*end, ":")
		if !ok {
			return t, fault.New(fault.Malformed, "%q is not type:id", *end)
		}
		id, rel, userset := strings.Cut(rest, "#")
		if (typ == "user" || typ == "group" || typ == "workload") && id != "*" {
			uid, ok := snap.Directory.Resolve(typ, id)
			if !ok {
				return t, fault.New(fault.NotFound, "there is no %s %q", typ, id)
			}
			id = string(uid)
		}
		*end = typ + ":" + id
		if userset {
			*end += "#" + rel
		}
	}
	if typ, _, _ := strings.Cut(t.Object, ":"); relation.Reserved(typ) || typ == "group" {
		return t, fault.New(fault.Denied, "type %s is Ambit's own and is not written as a relation", typ)
	}
	return t, nil
}

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
	p := plan{rows: []ledgerRow{row("agent", a.ID, a.Handle, a)}, objects: map[string]principal.UID{"agent": a.ID},
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
	p := plan{rows: []ledgerRow{row("hop", h.ID, "", h)}, bump: []principal.UID{h.Mission}, mission: h.Mission, origin: mission.Origin,
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
