package directory

import (
	"iter"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/table"
)

// A Directory is every principal and context of a tenant at one revision. It is
// immutable: With… and Without return another. The zero Directory is empty.
type Directory struct {
	users      table.Map[principal.UID, User]
	groups     table.Map[principal.UID, Group]
	workloads  table.Map[principal.UID, Workload]
	blueprints table.Map[principal.UID, Blueprint]
	agents     table.Map[principal.UID, Agent]
	contexts   table.Map[principal.UID, Context]
	handles    table.Map[string, principal.UID] // "user/clinician", "context/encounter/E1"
}

// User returns the user of a uid.
func (d Directory) User(id principal.UID) (User, bool) { return d.users.Get(id) }

// Group returns the group of a uid.
func (d Directory) Group(id principal.UID) (Group, bool) { return d.groups.Get(id) }

// Workload returns the workload of a uid.
func (d Directory) Workload(id principal.UID) (Workload, bool) { return d.workloads.Get(id) }

// Blueprint returns the blueprint of a uid.
func (d Directory) Blueprint(id principal.UID) (Blueprint, bool) { return d.blueprints.Get(id) }

// Agent returns the agent of a uid.
func (d Directory) Agent(id principal.UID) (Agent, bool) { return d.agents.Get(id) }

// Context returns the context of a uid.
func (d Directory) Context(id principal.UID) (Context, bool) { return d.contexts.Get(id) }

// Users ranges over all users in no order; so do the other plurals.
func (d Directory) Users() iter.Seq2[principal.UID, User] { return d.users.All() }

// Groups ranges over all groups.
func (d Directory) Groups() iter.Seq2[principal.UID, Group] { return d.groups.All() }

// Workloads ranges over all workloads.
func (d Directory) Workloads() iter.Seq2[principal.UID, Workload] { return d.workloads.All() }

// Blueprints ranges over all blueprints.
func (d Directory) Blueprints() iter.Seq2[principal.UID, Blueprint] { return d.blueprints.All() }

// Agents ranges over all agents.
func (d Directory) Agents() iter.Seq2[principal.UID, Agent] { return d.agents.All() }

// Contexts ranges over all contexts.
func (d Directory) Contexts() iter.Seq2[principal.UID, Context] { return d.contexts.All() }

// Resolve returns the uid of a handle: kind is "user", "group", "workload",
// "blueprint", "agent" or "context"; a context's handle is "type/handle". A uid
// of that kind resolves to itself when it exists, so faces need not ask which
// of the two a person typed.
func (d Directory) Resolve(kind, handle string) (principal.UID, bool) {
	if id, ok := d.handles.Get(kind + "/" + handle); ok {
		return id, true
	}
	id := principal.UID(handle)
	var ok bool
	switch kind {
	case "user":
		_, ok = d.users.Get(id)
	case "group":
		_, ok = d.groups.Get(id)
	case "workload":
		_, ok = d.workloads.Get(id)
	case "blueprint":
		_, ok = d.blueprints.Get(id)
	case "agent":
		_, ok = d.agents.Get(id)
	case "context":
		_, ok = d.contexts.Get(id)
	}
	if !ok {
		return "", false
	}
	return id, true
}

// Label returns the handle of a principal or context for people to read, and the
// uid itself where there is none.
func (d Directory) Label(id principal.UID) string {
	var h string
	switch id.Prefix() {
	case principal.User:
		u, _ := d.users.Get(id)
		h = u.Handle
	case principal.Group:
		g, _ := d.groups.Get(id)
		h = g.Handle
	case principal.Workload:
		w, _ := d.workloads.Get(id)
		h = w.Handle
	case principal.Blueprint:
		b, _ := d.blueprints.Get(id)
		h = b.Handle
	case principal.Agent:
		a, _ := d.agents.Get(id)
		if h = a.Handle; h == "" {
			if b, ok := d.blueprints.Get(a.Blueprint); ok {
				h = b.Handle + " (sub-agent)"
			}
		}
	case principal.Context:
		c, _ := d.contexts.Get(id)
		h = c.Handle
	}
	if h == "" {
		return string(id)
	}
	return h
}

// handle gives id the handle new of a kind in place of old.
func (d Directory) handle(kind string, id principal.UID, old, new string) Directory {
	if old != new {
		d = d.unhandle(kind, id, old)
	}
	if new != "" {
		d.handles = d.handles.With(kind+"/"+new, id)
	}
	return d
}

// unhandle takes a handle from id, and from nobody else: the rows of one revision
// come in any order, so that it may be another's already.
func (d Directory) unhandle(kind string, id principal.UID, handle string) Directory {
	if holder, ok := d.handles.Get(kind + "/" + handle); ok && holder == id {
		d.handles = d.handles.Without(kind + "/" + handle)
	}
	return d
}

// WithUser returns d with u added or replaced; so do the other With methods.
func (d Directory) WithUser(u User) Directory {
	old, _ := d.users.Get(u.ID)
	d.users = d.users.With(u.ID, u)
	return d.handle("user", u.ID, old.Handle, u.Handle)
}

// WithGroup returns d with g.
func (d Directory) WithGroup(g Group) Directory {
	old, _ := d.groups.Get(g.ID)
	d.groups = d.groups.With(g.ID, g)
	return d.handle("group", g.ID, old.Handle, g.Handle)
}

// WithWorkload returns d with w.
func (d Directory) WithWorkload(w Workload) Directory {
	old, _ := d.workloads.Get(w.ID)
	d.workloads = d.workloads.With(w.ID, w)
	return d.handle("workload", w.ID, old.Handle, w.Handle)
}

// WithBlueprint returns d with b.
func (d Directory) WithBlueprint(b Blueprint) Directory {
	old, _ := d.blueprints.Get(b.ID)
	d.blueprints = d.blueprints.With(b.ID, b)
	return d.handle("blueprint", b.ID, old.Handle, b.Handle)
}

// WithAgent returns d with a.
func (d Directory) WithAgent(a Agent) Directory {
	old, _ := d.agents.Get(a.ID)
	d.agents = d.agents.With(a.ID, a)
	return d.handle("agent", a.ID, old.Handle, a.Handle)
}

// WithContext returns d with c. A closed context gives its handle up to a newer
// one: opening E1 again makes another context, so that a mission of the first
// stays closed.
func (d Directory) WithContext(c Context) Directory {
	d.contexts = d.contexts.With(c.ID, c)
	if id, ok := d.handles.Get("context/" + c.Type + "/" + c.Handle); ok && id != c.ID && !c.Open {
		if holder, _ := d.contexts.Get(id); holder.Open || id > c.ID {
			return d
		}
	}
	return d.handle("context", c.ID, "", c.Type+"/"+c.Handle)
}

// Without returns d without the principal or context of id, if it has one.
func (d Directory) Without(id principal.UID) Directory {
	switch id.Prefix() {
	case principal.User:
		u, _ := d.users.Get(id)
		d = d.unhandle("user", id, u.Handle)
		d.users = d.users.Without(id)
	case principal.Group:
		g, _ := d.groups.Get(id)
		d = d.unhandle("group", id, g.Handle)
		d.groups = d.groups.Without(id)
	case principal.Workload:
		w, _ := d.workloads.Get(id)
		d = d.unhandle("workload", id, w.Handle)
		d.workloads = d.workloads.Without(id)
	case principal.Blueprint:
		b, _ := d.blueprints.Get(id)
		d = d.unhandle("blueprint", id, b.Handle)
		d.blueprints = d.blueprints.Without(id)
	case principal.Agent:
		a, _ := d.agents.Get(id)
		d = d.unhandle("agent", id, a.Handle)
		d.agents = d.agents.Without(id)
	case principal.Context:
		c, _ := d.contexts.Get(id)
		d = d.unhandle("context", id, c.Type+"/"+c.Handle)
		d.contexts = d.contexts.Without(id)
	}
	return d
}
