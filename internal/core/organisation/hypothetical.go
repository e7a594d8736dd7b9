package organisation

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Hypothetical returns the subject of a mission that origin might give agent at
// this moment: one root hop with the whole ceiling of the agent's blueprint, as
// far as the frame admits it, no limits, and an hour to live. context is one
// type of context that some server maps, with the context's handle, and its
// attributes; those that are not given are taken from the open context of that
// name, if there is one. The context is taken to be open. nil means a mission
// without a context.
//
// An agent of an own blueprint whose owner asks acts on its own account
// (SEMANTICS section 3), every other for the origin.
func Hypothetical(s *decision.Snapshot, origin, agent principal.UID, context map[string]string, at time.Time) (directory.Delegated, error) {
	a, ok := s.Directory.Agent(agent)
	if !ok {
		return directory.Delegated{}, fault.New(fault.NotFound, "there is no such agent")
	}
	b, ok := s.Directory.Blueprint(a.Blueprint)
	if !ok {
		return directory.Delegated{}, fault.New(fault.NotFound, "agent %s has no blueprint", a.Handle)
	}
	// Ids that name nothing: the mission exists in this question only.
	mission := principal.Make(principal.Mission, at, [10]byte{})
	root := principal.Make(principal.Hop, at, [10]byte{})
	m := delegation.Mission{ID: mission, Origin: origin, Rooted: delegation.UserRooted, Root: root,
		Intent: "a question", State: delegation.Active, Started: at}
	if b.Entitlement == directory.Own && origin == a.Owner {
		m.Rooted = delegation.OwnerRooted
	}
	hop := delegation.Hop{ID: root, Mission: mission, Delegator: origin, Delegate: agent, Blueprint: a.Blueprint,
		Authority: b.Ceiling, Expiry: at.Add(time.Hour), Depth: 1, State: delegation.Active, Made: at}
	if context != nil {
		if err := frame(s, &m, context); err != nil {
			return directory.Delegated{}, err
		}
		if m.HasFrame {
			hop.Authority = authority.Meet(b.Ceiling, m.Frame)
		}
	}
	hop.Effective = hop.Authority
	return directory.Delegated{Chain: delegation.Chain{Mission: m, Hops: []delegation.Hop{hop}}}, nil
}

// frame gives m the frame of a context.
func frame(s *decision.Snapshot, m *delegation.Mission, context map[string]string) error {
	types := map[string]bool{}
	for _, srv := range s.Catalogue.Servers() {
		for typ := range srv.Contexts {
			types[typ] = true
		}
	}
	typ, err := typeOf(context, types)
	if err != nil {
		return err
	}
	attributes := map[string]string{}
	if id, ok := s.Directory.Resolve("context", typ+"/"+context[typ]); ok {
		if c, _ := s.Directory.Context(id); c.Open {
			m.Context = id
			maps.Copy(attributes, c.Attributes)
		}
	}
	for k, v := range context {
		if k != typ {
			attributes[k] = v
		}
	}
	m.Frame, m.HasFrame = mapping.FrameOf(s.Catalogue, typ, context[typ], attributes)
	return nil
}

// typeOf returns the key of a context that is its type, of those that servers map.
func typeOf(context map[string]string, types map[string]bool) (string, error) {
	var found []string
	for _, k := range slices.Sorted(maps.Keys(context)) {
		if types[k] {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fault.New(fault.Malformed, "names no type of context that a server maps (%s)", list(sortedKeys(types)))
	}
	return "", fault.New(fault.Malformed, "names more than one type of context: %s", strings.Join(found, ", "))
}

// Action returns the meaning of a call that is only asked about. With args it is
// mapping.Resolve, and resource, if given, has to be what the arguments come to.
// Without them they are read back from resource through the tool's template; a
// tool that has none leaves them Unknown.
func Action(s *decision.Snapshot, server principal.UID, tool, resource string, args json.RawMessage) (mapping.Action, error) {
	t, ok := s.Catalogue.ToolByName(server, tool)
	if len(args) == 0 && ok && resource != "" && t.Resource != "" {
		read, ok := t.Resource.Read(resource)
		if !ok {
			return mapping.Action{}, fault.New(fault.Malformed, "%s is never a resource of %s, which is on %s", resource, tool, t.Resource)
		}
		args = encode(read)
	}
	if len(args) == 0 {
		a, err := mapping.Outline(s.Catalogue, server, tool)
		a.Resource = resource
		return a, err
	}
	a, err := mapping.Resolve(s.Catalogue, server, tool, args)
	if err == nil && resource != "" && resource != a.Resource {
		return mapping.Action{}, fault.New(fault.Malformed, "with these arguments the call is on %s, not on %s", orNothing(a.Resource), resource)
	}
	return a, err
}

func orNothing(resource string) string {
	if resource == "" {
		return "no resource"
	}
	return resource
}
