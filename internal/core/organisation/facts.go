package organisation

import (
	"strings"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// file is what Ambit relates to the tuples that a document declared. A tuple
// that was written otherwise (by a feed, by hand) has no such mark and no apply
// removes it. The type ambit is reserved: nobody else writes these.
const file = "ambit:organisation"

// mark is the tuple that says that t is a document's.
func mark(t relation.Tuple) relation.Tuple {
	return relation.Tuple{Object: file, Relation: "declares", Subject: "tuple:" + proof.Hash([]byte(t.String()))}
}

// facts plans the model and the tuples.
func (p *planner) facts() {
	graph := p.snap.Relations
	old := graph.Model()
	switch {
	case p.doc.Model != nil:
		if p.put("model", "model", "", present(old, len(old.Types) > 0), *p.doc.Model) {
			p.line(verb(len(old.Types) > 0), "model", "", "")
			p.narrowed = p.narrowed || len(old.Types) > 0
		}
		graph = graph.WithModel(*p.doc.Model)
	case len(old.Types) > 0:
		p.remove("model", "model", "")
		p.line(removed, "model", "", "no relation holds without one")
		p.narrowed = true
		graph = graph.WithModel(relation.Model{})
	}
	wanted := map[relation.Tuple]bool{} // tuples and their marks
	for i, named := range p.doc.Tuples {
		t := relation.Tuple{Object: p.resolveTyped(named.Object), Relation: named.Relation, Subject: p.resolveTyped(named.Subject)}
		if err := graph.Validate(t); err != nil {
			text, hint := fault.Safe(err)
			text = strings.ReplaceAll(text, t.String(), named.String()) // handles for people
			if hint != "" {
				text += "; " + hint
			}
			p.add(at("tuples", i), "%s", text)
			continue
		}
		wanted[t], wanted[mark(t)] = true, true
		if !graph.Has(t) {
			p.rows = append(p.rows, rowOf("tuple", t.String(), t))
			p.line(added, "tuple", named.String(), "")
		}
		if m := mark(t); !graph.Has(m) {
			p.rows = append(p.rows, rowOf("tuple", m.String(), m))
		}
	}
	p.forget(graph, wanted)
}

// forget removes what a document declared before and this one does not. It reads
// the whole graph only when some mark is left over.
func (p *planner) forget(graph relation.Graph, wanted map[relation.Tuple]bool) {
	left := map[relation.Tuple]bool{}
	for m := range graph.Of(file) {
		if !wanted[m] {
			left[m] = true
			p.rows = append(p.rows, ledger.Row{Kind: "tuple", Key: m.String()})
		}
	}
	if len(left) == 0 {
		return
	}
	gone := map[string]relation.Tuple{}
	for t := range graph.All() {
		if t.Object != file && left[mark(t)] {
			gone[t.String()] = t
		}
	}
	for _, key := range sortedKeys(gone) {
		p.rows = append(p.rows, ledger.Row{Kind: "tuple", Key: key})
		p.line(removed, "tuple", p.spoken(gone[key]), "")
	}
}

// spoken renders a tuple with handles.
func (p *planner) spoken(t relation.Tuple) string {
	label := func(s string) string {
		object, relation, userset := strings.Cut(s, "#")
		if typ, id, ok := strings.Cut(object, ":"); ok && isPrincipal(typ) {
			object = typ + ":" + p.snap.Directory.Label(principal.UID(id))
		}
		if userset {
			object += "#" + relation
		}
		return object
	}
	return label(t.Object) + "#" + t.Relation + "@" + label(t.Subject)
}

// policies plans the policies that are not built in.
func (p *planner) policies() {
	old := map[string]policy.Policy{}
	all := []policy.Policy{}
	for q := range p.snap.Policies.All() {
		if q.Builtin {
			all = append(all, q)
		} else {
			old[q.Handle] = q
		}
	}
	seen := map[string]int{}
	for i, src := range p.doc.Policies {
		place := at("policies", i)
		parsed, err := policy.Parse(src.Name, src.Text)
		if err != nil {
			p.fault(place, err)
			continue
		}
		for _, next := range parsed {
			if first, twice := seen[next.Handle]; twice {
				p.add(place, "policy %s is declared twice, first in %s", next.Handle, at("policies", first))
				continue
			}
			seen[next.Handle] = i
			if next.Source, err = policy.Resolve(next.Source, p.entity); err != nil {
				p.fault(place, fault.New(fault.Malformed, "%s: %s", next.Handle, safe(err)))
				continue
			}
			was, had := old[next.Handle]
			if next.ID = was.ID; !had {
				next.ID = p.mint.New(principal.Policy)
			}
			all = append(all, next)
			if p.put("policy", string(next.ID), next.Handle, present(was, had), next) {
				p.line(verb(had), "policy", next.Handle, "")
				p.narrowed = true // a new forbid narrows what was permitted
			}
		}
	}
	for _, handle := range sortedKeys(old) {
		if _, kept := seen[handle]; !kept {
			p.remove("policy", string(old[handle].ID), handle)
			p.line(removed, "policy", handle, "")
			p.narrowed = true
		}
	}
	if len(p.problems) == 0 {
		if _, err := policy.Compile(all); err != nil {
			p.fault("policies", err)
		}
	}
}

// fault adds a problem from a fault of another room.
func (p *planner) fault(place string, err error) { p.add(place, "%s", safe(err)) }

func safe(err error) string {
	text, hint := fault.Safe(err)
	if hint != "" {
		text += "; " + hint
	}
	return text
}

// ownActions are the nouns and groups of actions that are not a server's: no
// server may be called so, and policies may name them.
var ownActions = map[string]bool{"agent": true, "ambit": true, "blueprint": true, "context": true, "decision": true,
	"delegation": true, "effect": true, "group": true, "hop": true, "key": true, "management": true, "mission": true, "node": true, "organisation": true,
	"policy": true, "relation": true, "self": true, "server": true, "token": true, "user": true, "whoami": true, "workload": true}

func reservedServer(handle string) bool { return ownActions[handle] }

// entity resolves a reference of a policy: principals by handle, and
// Action::"server.tool" or Action::"server". An action that nobody has is an
// error, because a forbid that never matches forbids nothing.
func (p *planner) entity(typ, id string) (string, error) {
	if typ == "Action" {
		return p.action(id)
	}
	noun := strings.ToLower(typ)
	if uid, ok := p.ids[noun+"/"+id]; ok {
		return string(uid), nil
	}
	// Not of the document, but there: a group from the first enrolment, a uid.
	if uid, ok := p.snap.Directory.Resolve(noun, id); ok {
		return string(uid), nil
	}
	var known []string
	for key := range p.ids {
		if handle, ok := strings.CutPrefix(key, noun+"/"); ok {
			known = append(known, handle)
		}
	}
	return "", fault.New(fault.Malformed, "there is no %s %q%s", noun, id, didYouMean(id, known))
}

func (p *planner) action(id string) (string, error) {
	noun, tool, _ := strings.Cut(id, ".")
	if ownActions[noun] {
		return id, nil
	}
	uid, ok := p.ids["server/"+noun]
	if !ok {
		return "", fault.New(fault.Malformed, "there is no server %q%s", noun, didYouMean(noun, sortedKeys(p.tools)))
	}
	if tool == "" {
		return string(uid), nil
	}
	for _, name := range p.tools[noun] {
		if name == tool {
			return string(uid) + "." + tool, nil
		}
	}
	return "", fault.New(fault.Malformed, "server %s shows no tool %q%s", noun, tool, didYouMean(tool, p.tools[noun]))
}
