package organisation

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// declaredBy begins the evidence of a key that a document enrolled: somebody who
// may apply said so, and no more is known.
const declaredBy = "declared by "

// people plans groups, users and workloads.
func (p *planner) people() {
	dir := p.snap.Directory
	for _, g := range p.doc.Groups {
		id := p.ids["group/"+g.ID]
		old, had := dir.Group(id)
		next := directory.Group{ID: id, Handle: g.ID, Name: g.Name}
		if p.put("group", string(id), g.ID, present(old, had), next) {
			p.line(verb(had), "group", g.ID, "")
		}
	}
	p.owners()
	for i, u := range p.doc.Users {
		id := p.ids["user/"+u.ID]
		old, had := dir.User(id)
		next := directory.User{ID: id, Handle: u.ID, Name: u.Name, Manager: p.ids["user/"+u.Manager],
			Groups: p.memberships(old.Groups, u.Groups), Keys: p.keys(at("users", i), id, old.Keys, u.Key),
			State: state(old.State, u.Disabled)}
		if p.put("user", string(id), u.ID, present(old, had), next) {
			p.line(verb(had), "user", u.ID, "", p.rights(old.Groups, next.Groups, old.Keys, next.Keys, old.State, next.State)...)
			old.Name, old.Manager = next.Name, next.Manager
			p.narrowed = p.narrowed || had && !slices.Equal(encode(old), encode(next))
		}
	}
	for i, w := range p.doc.Workloads {
		id := p.ids["workload/"+w.ID]
		old, had := dir.Workload(id)
		next := directory.Workload{ID: id, Handle: w.ID, Owner: p.ids["user/"+w.Owner],
			Groups: p.memberships(old.Groups, w.Groups), Keys: p.keys(at("workloads", i), id, old.Keys, w.Key),
			State: state(old.State, w.Disabled)}
		if p.put("workload", string(id), w.ID, present(old, had), next) {
			p.line(verb(had), "workload", w.ID, "", p.rights(old.Groups, next.Groups, old.Keys, next.Keys, old.State, next.State)...)
			p.narrowed = p.narrowed || had
		}
	}
}

// agency plans blueprints and agents, and narrows the hops that live under a
// ceiling that changed.
func (p *planner) agency() {
	dir, missions := p.snap.Directory, p.snap.Missions
	hops := map[principal.UID]delegation.Hop{}
	for i, b := range p.doc.Blueprints {
		id, place := p.ids["blueprint/"+b.ID], at("blueprints", i)
		old, had := dir.Blueprint(id)
		next := directory.Blueprint{ID: id, Handle: b.ID, Purpose: b.Purpose, Owner: p.ids["user/"+b.Owner],
			Entitlement: directory.Entitlement(b.Entitlement), Bearer: b.Bearer, State: state(old.State, b.Disabled),
			Ceiling:     p.expand(place+".ceiling", b.Ceiling, ""),
			Requestable: p.expand(place+".requestable", b.Requestable, "")}
		if len(p.problems) > 0 || !p.put("blueprint", string(id), b.ID, present(old, had), next) {
			continue
		}
		p.blueprintLine(had, old, next)
		p.narrowed = p.narrowed || had
		for _, h := range delegation.Narrow(missions, id, next.Ceiling) {
			missions = missions.WithHop(h) // the next blueprint narrows what this one left
			hops[h.ID] = h
		}
	}
	for i, a := range p.doc.Agents {
		id, b := p.ids["agent/"+a.ID], p.blueprint(a.Blueprint)
		old, had := dir.Agent(id)
		next := old // a parent and an expiry are not the document's
		next.ID, next.Handle, next.Blueprint = id, a.ID, p.ids["blueprint/"+a.Blueprint]
		next.Owner = p.ids["user/"+cmpOr(a.Owner, b.Owner)]
		next.Keys = p.keys(at("agents", i), id, old.Keys, a.Key)
		next.State = state(old.State, a.Disabled)
		if p.put("agent", string(id), a.ID, present(old, had), next) {
			p.line(verb(had), "agent", a.ID, "blueprint "+a.Blueprint+", owner "+cmpOr(a.Owner, b.Owner),
				p.rights(nil, nil, old.Keys, next.Keys, old.State, next.State)...)
			p.narrowed = p.narrowed || had
		}
	}
	p.narrow(hops)
}

func (p *planner) narrow(hops map[principal.UID]delegation.Hop) {
	p.missions = map[principal.UID]bool{}
	for _, id := range sortedKeys(hops) {
		h := hops[id]
		p.rows = append(p.rows, rowOf("hop", string(id), h))
		p.missions[h.Mission] = true
	}
	if len(hops) > 0 {
		p.line(changed, "missions", "", plural(len(hops), "live delegation", "live delegations")+" narrowed to the new ceilings")
	}
}

func (p *planner) blueprint(handle string) Blueprint {
	for _, b := range p.doc.Blueprints {
		if b.ID == handle {
			return b
		}
	}
	return Blueprint{}
}

// blueprintLine says which tools the blueprint's agents gain and lose.
func (p *planner) blueprintLine(had bool, old, next directory.Blueprint) {
	effects := p.difference("", old.Ceiling, next.Ceiling)
	effects = append(effects, p.difference("on request ", old.Requestable, next.Requestable)...)
	if had && old.Entitlement != next.Entitlement {
		effects = append(effects, Effect{next.Entitlement == directory.Own, "entitlement " + string(next.Entitlement) + " (was " + string(old.Entitlement) + ")"})
	}
	if had && old.Bearer != next.Bearer {
		effects = append(effects, Effect{next.Bearer, "bearer tokens"})
	}
	effects = append(effects, lifeEffects(old.State, next.State)...)
	p.line(verb(had), "blueprint", next.Handle, "", effects...)
}

// difference compares two authorities action by action.
func (p *planner) difference(prefix string, old, next authority.Set) []Effect {
	var out []Effect
	had, has := byAction(old), byAction(next)
	for _, action := range sortedKeys(union(had, has)) {
		within, _ := has[action].Subset(had[action])
		covers, _ := had[action].Subset(has[action])
		name := prefix + p.actionName(action)
		switch {
		case len(had[action]) == 0:
			out = append(out, Effect{true, name})
		case len(has[action]) == 0:
			out = append(out, Effect{false, name})
		case !within && !covers:
			out = append(out, Effect{true, name + " elsewhere"}, Effect{false, name + " where it was"})
		case !within:
			out = append(out, Effect{true, name + " with more arguments"})
		case !covers:
			out = append(out, Effect{false, name + " with some arguments"})
		}
	}
	return out
}

// An action key orders and separates the actions of an authority.
type actionKey string

func byAction(set authority.Set) map[actionKey]authority.Set {
	out := map[actionKey]authority.Set{}
	for _, item := range set {
		for _, a := range item.Actions {
			one := item
			one.Actions = []string{a}
			key := actionKey(string(item.Type) + "\x00" + item.Server + "\x00" + a)
			out[key] = append(out[key], one)
		}
	}
	return out
}

func (p *planner) actionName(key actionKey) string {
	parts := strings.SplitN(string(key), "\x00", 3)
	server := parts[1]
	for _, s := range p.doc.Servers {
		if string(p.ids["server/"+s.ID]) == server {
			server = s.ID
		}
	}
	if s, ok := p.snap.Catalogue.Server(principal.UID(server)); ok {
		server = s.Handle
	}
	if server == "" {
		return parts[2]
	}
	return server + "." + parts[2]
}

// withdraw disables the principals and blueprints that the document does not
// name. Ephemeral agents have no handle and live with their missions.
func (p *planner) withdraw() {
	dir := p.snap.Directory
	for _, u := range sorted(dir.Users()) {
		if p.declared("user", u.Handle) || u.State != directory.Active || u.ID == p.by {
			continue
		}
		u.State = directory.Disabled
		p.disable("user", u.ID, u.Handle, u)
	}
	for _, w := range sorted(dir.Workloads()) {
		if p.declared("workload", w.Handle) || w.State != directory.Active {
			continue
		}
		w.State = directory.Disabled
		p.disable("workload", w.ID, w.Handle, w)
	}
	for _, b := range sorted(dir.Blueprints()) {
		if p.declared("blueprint", b.Handle) || b.State != directory.Active {
			continue
		}
		b.State = directory.Disabled
		p.disable("blueprint", b.ID, b.Handle, b)
	}
	for _, a := range sorted(dir.Agents()) {
		if a.Handle == "" || p.declared("agent", a.Handle) || a.State != directory.Active {
			continue
		}
		a.State = directory.Disabled
		p.disable("agent", a.ID, a.Handle, a)
	}
}

func (p *planner) disable(kind string, id principal.UID, handle string, v any) {
	p.put(kind, string(id), handle, nil, v)
	p.line(removed, kind, handle, "not in the document any more: disabled")
	p.narrowed = true
}

// state is what the document makes of a state. Quarantined and revoked are not
// its to undo.
func state(old directory.State, disabled bool) directory.State {
	switch {
	case old == directory.Quarantined || old == directory.Revoked:
		return old
	case disabled:
		return directory.Disabled
	}
	return directory.Active
}

// memberships are the groups that the document says, and of the groups that it
// does not declare (administrators, from the first enrolment) those that were.
func (p *planner) memberships(old []principal.UID, groups []string) []principal.UID {
	next := p.uids("group", groups)
	for _, id := range old {
		g, ok := p.snap.Directory.Group(id)
		if ok && !p.declared("group", g.Handle) && !slices.Contains(next, id) {
			next = append(next, id)
		}
	}
	slices.Sort(next)
	return next
}

// owners notes who has which key now.
func (p *planner) owners() {
	note := func(id principal.UID, keys []directory.Key) {
		for _, k := range keys {
			p.jkts[k.JKT] = id
		}
	}
	for id, u := range p.snap.Directory.Users() {
		note(id, u.Keys)
	}
	for id, w := range p.snap.Directory.Workloads() {
		note(id, w.Keys)
	}
	for id, a := range p.snap.Directory.Agents() {
		note(id, a.Keys)
	}
}

// keys are those that were enrolled by better evidence than a document, and the
// one that the document declares, which keeps its enrolment when it is the same.
func (p *planner) keys(place string, id principal.UID, old []directory.Key, jwk json.RawMessage) []directory.Key {
	jkt := ""
	if len(jwk) > 0 {
		jkt, _ = proof.Thumbprint(jwk) // Validate has read it
	}
	var keys []directory.Key
	for _, k := range old {
		if k.JKT == jkt || !strings.HasPrefix(k.Evidence, declaredBy) {
			keys = append(keys, k)
		}
	}
	if jkt == "" || slices.ContainsFunc(keys, func(k directory.Key) bool { return k.JKT == jkt }) {
		return keys
	}
	if who, taken := p.jkts[jkt]; taken && who != id {
		p.add(place+".key", "this is the key of %s already; a key proves one principal", p.snap.Directory.Label(who))
		return keys
	}
	key, err := proof.ParseJWK(jwk)
	if err != nil {
		p.add(place+".key", "%v", err)
		return keys
	}
	return append(keys, directory.Key{JKT: jkt, JWK: proof.PublicJWK(key), Enrolled: p.now,
		Evidence: declaredBy + string(p.by), By: p.by})
}

// rights says what a principal gains and loses in groups, keys and state.
func (p *planner) rights(oldGroups, nextGroups []principal.UID, oldKeys, nextKeys []directory.Key, oldState, nextState directory.State) []Effect {
	var out []Effect
	for _, g := range p.doc.Groups {
		id := p.ids["group/"+g.ID]
		if was, is := slices.Contains(oldGroups, id), slices.Contains(nextGroups, id); was != is {
			out = append(out, Effect{is, "group " + g.ID})
		}
	}
	jkt := func(keys []directory.Key) map[string]bool {
		m := map[string]bool{}
		for _, k := range keys {
			m[k.JKT] = true
		}
		return m
	}
	was, is := jkt(oldKeys), jkt(nextKeys)
	for _, k := range sortedKeys(union(was, is)) {
		if was[k] != is[k] {
			out = append(out, Effect{is[k], "key " + k[:min(8, len(k))] + "…"})
		}
	}
	return append(out, lifeEffects(oldState, nextState)...)
}

func lifeEffects(old, next directory.State) []Effect {
	switch {
	case old == next || old == "" && next == directory.Active:
		return nil
	case next == directory.Active:
		return []Effect{{true, "to act at all: it was " + string(old)}}
	}
	return []Effect{{false, "to act at all: disabled"}}
}

// sorted returns the values of a directory in the order of their uids: a plan is
// a function of its input, and maps have no order.
func sorted[T any](all iter.Seq2[principal.UID, T]) []T {
	m := map[principal.UID]T{}
	for id, v := range all {
		m[id] = v
	}
	out := make([]T, 0, len(m))
	for _, id := range sortedKeys(m) {
		out = append(out, m[id])
	}
	return out
}
