package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// cedar-go evaluates every policy it is given. The index hands it only those
// whose scope matches the request: a policy whose scope does not match can
// neither match nor err, so what remains says exactly what all would.

// A key is what one part of a scope asks of its entity.
type key struct {
	match  matcher
	entity cedar.EntityUID // its Type alone for is
}

type matcher uint8

const (
	anything matcher = iota
	is               // of a type
	equal            // this entity
	within           // this entity or one below it
)

// A scope is the head of a policy. The types narrow "is T in E", whose key is E.
type scope struct {
	principal, resource         key
	actions                     []key // more than one for "action in [A, B]"
	principalType, resourceType cedar.EntityType
}

func scopeOf(p *ast.Policy) scope {
	var s scope
	s.principal, s.principalType = keyOf(p.Principal)
	s.resource, s.resourceType = keyOf(p.Resource)
	if set, ok := p.Action.(ast.ScopeTypeInSet); ok {
		for _, e := range set.Entities {
			s.actions = append(s.actions, key{within, e})
		}
		return s
	}
	action, _ := keyOf(p.Action)
	s.actions = []key{action}
	return s
}

// keyOf returns the key of a part of a scope. A form it does not know is indexed
// as anything: a candidate too many, never one too few.
func keyOf(n ast.IsScopeNode) (key, cedar.EntityType) {
	switch n := n.(type) {
	case ast.ScopeTypeEq:
		return key{equal, n.Entity}, ""
	case ast.ScopeTypeIn:
		return key{within, n.Entity}, ""
	case ast.ScopeTypeIs:
		return key{is, cedar.EntityUID{Type: n.Type}}, ""
	case ast.ScopeTypeIsIn:
		return key{within, n.Entity}, n.Type
	}
	return key{}, ""
}

// An index finds policies, by their place in the set, by action, then resource,
// then principal: most actions have few policies, and few types of resource.
type index map[key]map[key]map[key][]int

func (x index) add(s scope, i int) {
	for _, action := range s.actions {
		if x[action] == nil {
			x[action] = map[key]map[key][]int{}
		}
		if x[action][s.resource] == nil {
			x[action][s.resource] = map[key][]int{}
		}
		x[action][s.resource][s.principal] = append(x[action][s.resource][s.principal], i)
	}
}

// candidates returns the policies whose scope matches r, in order of id. Of a
// resource that is not known every policy is a candidate whose scope it may match.
func (s *Set) candidates(r *Request) []*compiled {
	var found []int
	principals := keysOf(r.Principal.Entity, r.Principal.Parents)
	resources := keysOf(r.Resource, nil)
	for _, action := range keysOf(r.Action, r.ActionParents) {
		byResource := s.index[action]
		if len(byResource) == 0 {
			continue
		}
		if r.resourceUnknown() {
			for resource, byPrincipal := range byResource {
				if r.mayBe(resource) {
					found = collect(found, byPrincipal, principals)
				}
			}
			continue
		}
		for _, resource := range resources {
			found = collect(found, byResource[resource], principals)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found) // "action in [A, B]" may match twice
	out := make([]*compiled, 0, len(found))
	for _, i := range found {
		c := &s.all[i]
		if r.isType(c.scope.principalType, r.Principal.Entity.Type) && r.isType(c.scope.resourceType, r.Resource.Type) {
			out = append(out, c)
		}
	}
	return out
}

func collect(found []int, by map[key][]int, principals []key) []int {
	if len(by) == 0 {
		return found
	}
	for _, p := range principals {
		found = append(found, by[p]...)
	}
	return found
}

// keysOf returns every key that matches an entity with parents.
func keysOf(e Entity, parents []Entity) []key {
	keys := make([]key, 0, 4+len(parents))
	keys = append(keys, key{}, key{is, cedar.EntityUID{Type: cedar.EntityType(e.Type)}}, key{equal, e.uid()}, key{within, e.uid()})
	for _, p := range parents {
		if k := (key{within, p.uid()}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// resourceUnknown reports whether the resource depends on unknown arguments.
func (r *Request) resourceUnknown() bool { return r.Unknown && r.Resource.ID == "" }

// mayBe reports whether the unknown resource may match k.
func (r *Request) mayBe(k key) bool {
	return r.Resource.Type == "" || k.match == anything || string(k.entity.Type) == r.Resource.Type
}

// isType reports whether an entity of type typ passes "is want". An unknown
// resource of unknown type passes every one.
func (r *Request) isType(want cedar.EntityType, typ string) bool {
	return want == "" || string(want) == typ || typ == "" && r.resourceUnknown()
}
