package orgfile

import (
	"encoding/json"
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/ambit-iam/ambit/proof/authority"
)

// authority reads a list of items. Their servers are handles, and server is the
// one of an item that names none: "" leaves it open, for Validate to refuse.
func (d *decoder) authority(n *yaml.Node, at, what, server string) authority.Set {
	set := authority.Set{}
	d.each(n, at, what, func(n *yaml.Node, at string) {
		item := authority.Item{Type: authority.MCPTool, Server: server}
		d.object(n, at, "an item of "+what, fields{
			"type":           func(n *yaml.Node, _ string) { item.Type = authority.Type(d.text(n)) },
			"server":         d.set(&item.Server),
			"actions":        d.setTexts(&item.Actions, "actions"),
			"otherArguments": d.set(&item.OtherArguments),
			"resource": func(n *yaml.Node, at string) {
				c := d.constraint(n, at)
				item.Resource = &c
			},
			"arguments": func(n *yaml.Node, at string) {
				item.Arguments = map[string]authority.Constraint{}
				d.members(n, at, "arguments", func(key, value *yaml.Node, at string) {
					item.Arguments[key.Value] = d.constraint(value, at)
				})
			},
		})
		set = append(set, item)
	})
	return set
}

// kinds are the members of a constraint.
var kinds = []string{"and", "any", "exact", "maxLength", "oneOf", "optional", "pathPrefix", "prefix", "range", "suffix"}

// constraint reads one constraint: a scalar is exact, a list is oneOf, an object
// is the constraint itself.
func (d *decoder) constraint(n *yaml.Node, at string) authority.Constraint {
	value := func(n *yaml.Node, at string) (v authority.Value) {
		if err := json.Unmarshal(d.json(n, at), &v); err != nil {
			d.add(n, "%v", err)
		}
		return v
	}
	var c authority.Constraint
	switch n.Kind {
	case yaml.ScalarNode:
		v := value(n, at)
		c.Exact = &v
	case yaml.SequenceNode:
		c.OneOf = []authority.Value{}
		d.each(n, at, "oneOf", func(n *yaml.Node, at string) { c.OneOf = append(c.OneOf, value(n, at)) })
		if len(c.OneOf) == 0 {
			d.add(n, "an empty list matches nothing; leave the item out")
		}
	default:
		before := len(d.problems)
		d.kinds(n)
		raw := d.json(n, at)
		if len(d.problems) > before {
			return c
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			if flaw, ok := errors.AsType[*authority.Error](err); ok {
				d.add(n, "this constraint%s %s", flaw.Path, flaw.Reason)
			} else {
				d.add(n, "%v", err)
			}
		}
	}
	return c
}

// kinds checks the keys of a constraint before the lattice does, which knows no
// columns, and of those inside its and.
func (d *decoder) kinds(n *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !slices.Contains(kinds, key.Value) {
			known := fields{}
			for _, k := range kinds {
				known[k] = nil
			}
			d.unknown(key, "a constraint", known)
		}
		if key.Value == "and" {
			for _, inner := range value.Content {
				d.kinds(inner)
			}
		}
	}
}
