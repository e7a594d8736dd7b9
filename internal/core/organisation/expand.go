package organisation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// expand turns an authority of the document into one of the lattice: server
// handles become uids, and patterns the tools that match now. A name or pattern
// that no tool has is a problem: it would otherwise be a typing error that
// quietly permits nothing, or a trap that a later tool springs.
func (p *planner) expand(place string, set authority.Set, server string) authority.Set {
	out := make(authority.Set, 0, len(set))
	for i, item := range set {
		place := at(place, i)
		item.Type = cmpOr(item.Type, authority.MCPTool)
		if item.Type != authority.MCPTool {
			out = append(out, item)
			continue
		}
		handle := cmpOr(item.Server, server)
		shown, known := p.tools[handle]
		if !known {
			continue // its server has a problem of its own
		}
		item.Server = string(p.ids["server/"+handle])
		actions := map[string]bool{}
		for j, a := range item.Actions {
			found := 0
			for _, name := range shown {
				if matches(a, name) {
					actions[name] = true
					found++
				}
			}
			if found == 0 {
				p.noTool(at(place+".actions", j), handle, a)
			}
		}
		item.Actions = slices.Sorted(maps.Keys(actions))
		out = append(out, item)
	}
	if err := out.Validate(); err != nil {
		p.add(place, "%v", err)
	}
	return out
}

// noTool says that no tool of a server is called so.
func (p *planner) noTool(place, server, name string) {
	if isPattern(name) {
		p.add(place, "%s matches no tool of server %s; it shows %s", name, server, list(p.tools[server]))
		return
	}
	p.add(place, "server %s shows no tool %s%s", server, name, didYouMean(name, p.tools[server]))
}

// list renders some names for a message.
func list(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > 12:
		return strings.Join(names[:12], ", ") + fmt.Sprintf(" and %d more", len(names)-12)
	}
	return strings.Join(names, ", ")
}

// configOf returns the entry of a server's tools that is about a tool: its exact
// name, else the matching pattern with the most literal characters. Two equally
// good patterns are an error, because a map has no order to choose by.
func configOf(tools map[string]Tool, name string) (Tool, error) {
	if t, ok := tools[name]; ok {
		return t, nil
	}
	best, tie := "", ""
	for _, pattern := range slices.Sorted(maps.Keys(tools)) {
		if !isPattern(pattern) || !matches(pattern, name) {
			continue
		}
		switch {
		case best == "" || literal(pattern) > literal(best):
			best, tie = pattern, ""
		case literal(pattern) == literal(best) && tools[pattern] != tools[best]:
			tie = pattern
		}
	}
	if tie != "" {
		return Tool{}, fmt.Errorf("%s and %s both match tool %s and differ; give it an entry of its own", best, tie, name)
	}
	return tools[best], nil
}

// resolveTyped turns "user:clinician" or "group:staff#member" into the same with
// a uid, and leaves what is not a principal alone.
func (p *planner) resolveTyped(s string) string {
	object, relation, userset := strings.Cut(s, "#")
	typ, handle, ok := strings.Cut(object, ":")
	if !ok || !isPrincipal(typ) || handle == "*" {
		return s
	}
	s = typ + ":" + string(p.ids[typ+"/"+handle])
	if userset {
		s += "#" + relation
	}
	return s
}

// uids resolves handles, sorted and each once.
func (p *planner) uids(noun string, handles []string) []principal.UID {
	set := map[principal.UID]bool{}
	for _, h := range handles {
		set[p.ids[noun+"/"+h]] = true
	}
	if len(set) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(set))
}
