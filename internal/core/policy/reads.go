package policy

import (
	"fmt"
	"slices"

	cedartypes "github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Reads is what a policy's conditions look at, found in its syntax.
type reads struct {
	relations []string // names in context.relations, sorted
	context   []string // attributes of context except args and relations, sorted
	args      []string // arguments by name, sorted
	allArgs   bool     // context.args as a whole
	resource  bool     // the resource
}

// hasArgs reports whether the outcome depends on the arguments.
func (r reads) hasArgs() bool { return r.allArgs || len(r.args) > 0 }

// arg reports whether it depends on one argument.
func (r reads) arg(name string) bool { return r.allArgs || slices.Contains(r.args, name) }

// readsOf walks the conditions of a policy. It refuses those whose dependence on
// relations cannot be told beforehand, because relations are asked lazily, by
// name: context.relations in any form but .contains("name") and .containsAny or
// .containsAll of literal names, and context as a whole.
func readsOf(p *ast.Policy) (reads, error) {
	var r reads
	var refused error
	refuse := func(format string, args ...any) { refused = fmt.Errorf(format, args...) }
	inspect := func(n ast.IsNode) bool {
		if refused != nil {
			return false
		}
		switch n := n.(type) {
		case ast.NodeTypeContains:
			return !r.names(n.Left, n.Right, one)
		case ast.NodeTypeContainsAny:
			return !r.names(n.Left, n.Right, several)
		case ast.NodeTypeContainsAll:
			return !r.names(n.Left, n.Right, several)
		case ast.NodeTypeAccess:
			return !r.attribute(n.StrOpNode, refuse)
		case ast.NodeTypeHas:
			return !r.attribute(n.StrOpNode, refuse)
		case ast.NodeTypeVariable:
			switch n.Name {
			case "context":
				refuse("it uses context as a whole: name the attribute that it needs")
			case "resource":
				r.resource = true
			}
		}
		return true
	}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), inspect)
	}
	if refused != nil {
		return reads{}, refused
	}
	for _, names := range []*[]string{&r.relations, &r.context, &r.args} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return r, nil
}

// attribute notes context.X, context.args.X and their "has", and reports whether
// n was one of them.
func (r *reads) attribute(n ast.StrOpNode, refuse func(string, ...any)) bool {
	name := string(n.Value)
	switch {
	case isContext(n.Arg) && name == "relations":
		refuse(`it uses context.relations other than as context.relations.contains("name"), or containsAny or containsAll of names in quotes`)
	case isContext(n.Arg) && name == "args":
		r.allArgs = true
	case isContext(n.Arg):
		r.context = append(r.context, name)
	case isAccess(n.Arg, "args"):
		r.args = append(r.args, name)
	default:
		return false
	}
	return true
}

// names notes the literal names that set is asked for, and reports whether set is
// context.relations and they are literals.
func (r *reads) names(set, names ast.IsNode, literal func(ast.IsNode) []string) bool {
	if !isAccess(set, "relations") {
		return false
	}
	found := literal(names)
	r.relations = append(r.relations, found...)
	return found != nil
}

// one returns the name of a string literal, nil for anything else.
func one(n ast.IsNode) []string {
	if v, ok := n.(ast.NodeValue); ok {
		if s, ok := v.Value.(cedartypes.String); ok {
			return []string{string(s)}
		}
	}
	return nil
}

// several returns the names of a set literal, nil when it holds anything else.
func several(n ast.IsNode) []string {
	set, ok := n.(ast.NodeTypeSet)
	if !ok {
		return nil
	}
	out := []string{}
	for _, e := range set.Elements {
		name := one(e)
		if name == nil {
			return nil
		}
		out = append(out, name...)
	}
	return out
}

func isContext(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "context"
}

// isAccess reports whether n is context.name.
func isAccess(n ast.IsNode, name string) bool {
	a, ok := n.(ast.NodeTypeAccess)
	return ok && isContext(a.Arg) && string(a.Value) == name
}
