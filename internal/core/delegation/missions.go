package delegation

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/table"
)

// Missions is the missions and hops of one tenant at one revision, with their
// indexes. It is immutable: With… and Without… return a new value that shares
// what did not change, so a snapshot is read without locks. The zero Missions
// is empty. All lists of uids are sorted, which for uids is by age.
type Missions struct {
	missions  table.Map[principal.UID, Mission]
	hops      table.Map[principal.UID, Hop]
	byMission index // hops
	byParent  index // hops
	delegate  index // hops
	blueprint index // hops
	context   index // missions
	origin    index // missions
}

// An index is a table of sets.
type index struct {
	sets table.Map[principal.UID, *uids]
}

func (x index) with(key, id principal.UID) index {
	if key == "" {
		return x
	}
	s, _ := x.sets.Get(key)
	return index{x.sets.With(key, s.with(id))}
}

func (x index) without(key, id principal.UID) index {
	s, ok := x.sets.Get(key)
	if !ok {
		return x
	}
	if s = s.without(id); s == nil {
		return index{x.sets.Without(key)}
	}
	return index{x.sets.With(key, s)}
}

// moved takes id from one key to another.
func (x index) moved(from, to, id principal.UID) index {
	if from == to {
		return x
	}
	return x.without(from, id).with(to, id)
}

func (x index) list(key principal.UID) []principal.UID {
	s, _ := x.sets.Get(key)
	return s.list()
}

// Mission returns the mission with that uid, and whether there is one.
func (m Missions) Mission(id principal.UID) (Mission, bool) { return m.missions.Get(id) }

// Hop returns the hop with that uid, and whether there is one.
func (m Missions) Hop(id principal.UID) (Hop, bool) { return m.hops.Get(id) }

// Len returns the number of missions, ended ones too.
func (m Missions) Len() int { return m.missions.Len() }

// All ranges over the missions in no particular order, ended ones too.
func (m Missions) All() iter.Seq2[principal.UID, Mission] { return m.missions.All() }

// WithMission returns m with v put under its uid. v must not be modified later.
func (m Missions) WithMission(v Mission) Missions {
	old, had := m.missions.Get(v.ID)
	m.missions = m.missions.With(v.ID, v)
	if !had {
		m.context, m.origin = m.context.with(v.Context, v.ID), m.origin.with(v.Origin, v.ID)
		return m
	}
	m.context = m.context.moved(old.Context, v.Context, v.ID)
	m.origin = m.origin.moved(old.Origin, v.Origin, v.ID)
	return m
}

// WithoutMission returns m without that mission; its hops stay until they are
// taken out themselves.
func (m Missions) WithoutMission(id principal.UID) Missions {
	if old, had := m.missions.Get(id); had {
		m.missions = m.missions.Without(id)
		m.context, m.origin = m.context.without(old.Context, id), m.origin.without(old.Origin, id)
	}
	return m
}

// WithHop returns m with h put under its uid. h must not be modified later.
func (m Missions) WithHop(h Hop) Missions {
	old, _ := m.hops.Get(h.ID)
	m.hops = m.hops.With(h.ID, h)
	m.byMission = m.byMission.moved(old.Mission, h.Mission, h.ID)
	m.byParent = m.byParent.moved(old.Parent, h.Parent, h.ID)
	m.delegate = m.delegate.moved(old.Delegate, h.Delegate, h.ID)
	m.blueprint = m.blueprint.moved(old.Blueprint, h.Blueprint, h.ID)
	return m
}

// WithoutHop returns m without that hop.
func (m Missions) WithoutHop(id principal.UID) Missions {
	if old, had := m.hops.Get(id); had {
		m.hops = m.hops.Without(id)
		m.byMission = m.byMission.without(old.Mission, id)
		m.byParent = m.byParent.without(old.Parent, id)
		m.delegate = m.delegate.without(old.Delegate, id)
		m.blueprint = m.blueprint.without(old.Blueprint, id)
	}
	return m
}

// Hops returns how many hops a mission has, live or not.
func (m Missions) Hops(mission principal.UID) int {
	s, _ := m.byMission.sets.Get(mission)
	return s.len()
}

// HopsOf returns the hops of a mission, parents before children.
func (m Missions) HopsOf(mission principal.UID) []Hop {
	return m.sorted(m.byMission.list(mission))
}

// Children returns the hops made from a hop, live or not.
func (m Missions) Children(hop principal.UID) []principal.UID { return m.byParent.list(hop) }

// ByDelegate returns the hops whose delegate an agent is.
func (m Missions) ByDelegate(agent principal.UID) []principal.UID { return m.delegate.list(agent) }

// ByBlueprint returns the hops whose delegate was made from a blueprint.
func (m Missions) ByBlueprint(blueprint principal.UID) []principal.UID {
	return m.blueprint.list(blueprint)
}

// ByContext returns the missions in a context.
func (m Missions) ByContext(context principal.UID) []principal.UID { return m.context.list(context) }

// ByOrigin returns the missions that a person signed.
func (m Missions) ByOrigin(user principal.UID) []principal.UID { return m.origin.list(user) }

// Descendants returns the hops below a hop, live or not, parents before
// children; not the hop itself.
func (m Missions) Descendants(hop principal.UID) []principal.UID {
	out := m.Children(hop)
	seen := map[principal.UID]bool{hop: true} // rows could hold a cycle, a walk must end
	for _, id := range out {
		seen[id] = true
	}
	for i := 0; i < len(out); i++ {
		for _, id := range m.Children(out[i]) {
			if !seen[id] {
				seen[id] = true
				out = append(out, id)
			}
		}
	}
	return out
}

// LiveChildren returns how many of the hops made from a hop are live at an
// instant: what maxChildren bounds.
func (m Missions) LiveChildren(hop principal.UID, at time.Time) int {
	n := 0
	for _, id := range m.Children(hop) {
		if h, ok := m.hops.Get(id); ok && h.Live(at) {
			n++
		}
	}
	return n
}

// sorted returns hops by depth, then uid.
func (m Missions) sorted(ids []principal.UID) []Hop {
	out := make([]Hop, 0, len(ids))
	for _, id := range ids {
		if h, ok := m.hops.Get(id); ok {
			out = append(out, h)
		}
	}
	slices.SortStableFunc(out, func(a, b Hop) int { return cmp.Compare(a.Depth, b.Depth) })
	return out
}
