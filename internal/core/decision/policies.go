package decision

import (
	"slices"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// policies asks the entitlement stage, when it is this link's, and the
// prohibition stage: one evaluation answers both.
func (d *decider) policies(link int, id principal.UID, entitled bool) {
	if d.r.Scope == Session {
		return
	}
	var witness []relation.Tuple
	q := d.cedar(link, id, &witness)
	q.ForbidsOnly = !entitled
	res := d.s.Policies.Evaluate(q)
	d.v.shadow = append(d.v.shadow, res.Shadow...)
	if entitled {
		f := Finding{Link: link, Principal: id, Stage: Entitlement, Witness: witness}
		switch {
		case len(res.Permits) > 0:
			f.Passed, f.Policies = true, res.Permits
			f.Reason = d.because(res)
		case res.MaybePermit:
			f.Passed, f.Reason = true, "depends on the arguments"
		case len(res.Requestable) > 0 && link > 0:
			// At link 0 an approval supplies nothing when an agent asks: the person
			// would be approving rights that they do not have.
			f.Approvable, f.Policies = true, res.Requestable
			f.Reason = "policy " + res.Requestable[0].Handle + " permits it with an approval"
		default:
			f.Policies = res.Errors
			f.Reason = "no policy permits " + d.s.Directory.Label(id) + " " + d.call()
			if len(res.Errors) > 0 {
				f.Reason += "; policy " + res.Errors[0].Handle + " failed: " + res.Errors[0].Error
			}
		}
		d.add(f)
		if d.stopped {
			return
		}
	}
	f := Finding{Link: link, Principal: id, Stage: Prohibition}
	if len(res.Forbids) > 0 {
		f.Policies = res.Forbids
		f.Reason = "policy " + res.Forbids[0].Handle + " forbids it"
		if e := res.Forbids[0].Error; e != "" {
			f.Reason = "policy " + res.Forbids[0].Handle + " forbids, because it failed: " + e
		}
		_, agents := d.r.Subject.(directory.Delegated)
		f.Approvable = agents && !slices.ContainsFunc(res.Forbids, func(h policy.Hit) bool { return !h.Approval || h.Error != "" })
		if f.Approvable {
			f.Reason += " without an approval"
		}
	} else {
		f.Passed, f.Reason = true, "no policy forbids it"
	}
	d.add(f)
}

// because renders the facts behind a permit: the relations that held, else the
// policies that permitted.
func (d *decider) because(res policy.Result) string {
	var held []string
	for name, holds := range res.Relations {
		if holds {
			held = append(held, strings.ReplaceAll(name, "_", " "))
		}
	}
	resource := d.r.Action.Resource[strings.IndexByte(d.r.Action.Resource, ':')+1:]
	switch {
	case len(held) == 1:
		return held[0] + " of " + resource
	case len(held) > 1:
		slices.Sort(held)
		return strings.Join(held, ", ") + " of " + resource
	}
	return "policy " + res.Permits[0].Handle
}

// cedar states the question for one link: enough to find candidates at once, the
// rest when there are some. Relation searches append their witness path.
func (d *decider) cedar(link int, id principal.UID, witness *[]relation.Tuple) policy.Request {
	a := d.r.Action
	q := policy.Request{
		Principal: policy.Principal{Entity: Entity(id), Parents: d.parents(id)},
		Action:    policy.Entity{Type: "Action", ID: a.Name},
		Args:      a.Arguments,
		Unknown:   a.Unknown,
	}
	if a.Tool != "" {
		q.Action.ID = string(a.Server) + "." + a.Name
		q.ActionParents = []policy.Entity{{Type: "Action", ID: string(a.Server)}, {Type: "Action", ID: "effect." + string(a.Effect)}}
	} else {
		q.ActionParents = []policy.Entity{{Type: "Action", ID: group(a.Name)}}
	}
	if typ, rid, ok := strings.Cut(a.Resource, ":"); ok {
		q.Resource = policy.Entity{Type: typ, ID: rid}
	} else if t, ok := d.s.Catalogue.Tool(a.Tool); a.Unknown && ok && t.Resource != "" {
		q.Resource.Type = t.Resource.Type() // its id is made of arguments: not known
	}
	q.Relation = func(name string) (bool, error) {
		res, err := d.s.Relations.Check(a.Resource, name, strings.ToLower(q.Principal.Entity.Type)+":"+string(id))
		if res.Holds {
			*witness = append(*witness, res.Witness...)
		}
		return res.Holds, err
	}
	q.Fill = func(r *policy.Request) { d.fill(r, link, id) }
	return q
}

// fill adds what policies may look at.
func (d *decider) fill(q *policy.Request, link int, id principal.UID) {
	q.Principal.Attributes = d.attributes(id)
	q.Attributes = d.r.Attributes
	q.Context = map[string]any{"link": int64(link), "effect": string(d.r.Action.Effect), "time": d.r.At.Unix()}
	s, ok := d.r.Subject.(directory.Delegated)
	if !ok {
		return
	}
	origin, acting, m := s.Chain.Mission.Origin, s.Chain.Acting().Delegate, s.Chain.Mission
	q.Context["origin"], q.Context["acting"] = Entity(origin), Entity(acting)
	q.Context["mission"] = map[string]any{"id": string(m.ID), "intent": m.Intent, "rooted": string(m.Rooted), "context": string(m.Context)}
	// Known with their parents, so that context.origin in Group::"…" is asked and
	// not silently false.
	for _, other := range [...]principal.UID{origin, acting} {
		q.Others = append(q.Others, policy.Principal{Entity: Entity(other), Parents: d.parents(other), Attributes: d.attributes(other)})
	}
}

// group returns the action group of a management action.
func group(name string) string {
	switch name {
	case "whoami", "sign-in", "names.read":
		return "self"
	case "hop.create":
		return "delegation"
	}
	return "management"
}

// Entity names a principal as Cedar policies do: User::"usr_…".
func Entity(id principal.UID) policy.Entity {
	typ := "System"
	switch id.Prefix() {
	case principal.User:
		typ = "User"
	case principal.Agent:
		typ = "Agent"
	case principal.Workload:
		typ = "Workload"
	case principal.Group:
		typ = "Group"
	case principal.Blueprint:
		typ = "Blueprint"
	}
	return policy.Entity{Type: typ, ID: string(id)}
}

// parents returns the groups of a principal, and an agent's blueprint.
func (d *decider) parents(id principal.UID) []policy.Entity {
	var groups []principal.UID
	switch id.Prefix() {
	case principal.Agent:
		a, _ := d.s.Directory.Agent(id)
		return []policy.Entity{Entity(a.Blueprint)}
	case principal.User:
		u, _ := d.s.Directory.User(id)
		groups = u.Groups
	case principal.Workload:
		w, _ := d.s.Directory.Workload(id)
		groups = w.Groups
	}
	out := make([]policy.Entity, len(groups))
	for i, g := range groups {
		out[i] = Entity(g)
	}
	return out
}

// attributes returns what policies may read of a principal: who answers for it.
func (d *decider) attributes(id principal.UID) map[string]any {
	switch id.Prefix() {
	case principal.User:
		if u, _ := d.s.Directory.User(id); u.Manager != "" {
			return map[string]any{"manager": Entity(u.Manager)}
		}
	case principal.Workload:
		w, _ := d.s.Directory.Workload(id)
		return map[string]any{"owner": Entity(w.Owner)}
	case principal.Agent:
		a, _ := d.s.Directory.Agent(id)
		return map[string]any{"owner": Entity(a.Owner)}
	}
	return nil
}

// call renders the request for people: "records.read patient=P2".
func (d *decider) call() string {
	a := d.r.Action
	if a.Tool == "" {
		return a.Name
	}
	s := d.label(a.Server) + "." + a.Name
	if _, id, ok := strings.Cut(a.Resource, ":"); ok {
		s += " of " + id
	}
	return s
}

// label names a server for people.
func (d *decider) label(server principal.UID) string {
	if s, ok := d.s.Catalogue.Server(server); ok {
		return s.Handle
	}
	return string(server)
}

// people renders an authority with handles in place of server uids.
func (d *decider) people(a authority.Set) string {
	return a.Describe(func(server string) string { return d.label(principal.UID(server)) })
}

func stateWord(s delegation.State) string {
	if s == "" {
		return "not active"
	}
	return string(s)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC on 2006-01-02") }
