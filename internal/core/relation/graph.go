package relation

import (
	"iter"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
)

// A Graph is a model and the tuples under it: immutable, safe for concurrent
// use. The zero Graph has neither and nothing holds in it.
type Graph struct {
	model Model
	rules rules
	index index
}

// New returns the graph of a model and tuples; the tuples are copied. It is how a
// snapshot is loaded: With, a tuple at a time, costs a copy each.
func New(m Model, tuples []Tuple) Graph {
	return Graph{m, m.rules(), build(slices.Clone(tuples))}
}

// WithModel returns g under another model. m should have passed Validate: what an
// invalid model leaves undefined never holds. Tuples that m does not allow stay
// and are ignored.
func (g Graph) WithModel(m Model) Graph { return Graph{m, m.rules(), g.index} }

// With returns g with t, in time that hardly grows with the graph. It does not
// check t, as tuples are checked when they are written (Validate): Check ignores
// any that the model does not allow.
func (g Graph) With(t Tuple) Graph { return Graph{g.model, g.rules, g.index.with(t)} }

// Without returns g without t.
func (g Graph) Without(t Tuple) Graph { return Graph{g.model, g.rules, g.index.without(t)} }

// Model returns the model of g. It must not be modified.
func (g Graph) Model() Model { return g.model }

// Len returns the number of tuples.
func (g Graph) Len() int { return g.index.n }

// Has reports whether g holds exactly t.
func (g Graph) Has(t Tuple) bool { return g.index.get(t.Object).of(t.Relation).has(t.Subject) }

// All ranges over all tuples, in no particular order.
func (g Graph) All() iter.Seq[Tuple] {
	return func(yield func(Tuple) bool) {
		for key, o := range g.index.all() {
			if !o.tuples(key, yield) {
				return
			}
		}
	}
}

// Of ranges over the tuples of one object, sorted by relation and subject.
func (g Graph) Of(object string) iter.Seq[Tuple] {
	return func(yield func(Tuple) bool) { g.index.get(object).tuples(object, yield) }
}

func (o object) tuples(key string, yield func(Tuple) bool) bool {
	for _, r := range o {
		for _, run := range r.subjects {
			for _, s := range run {
				if !yield(Tuple{key, r.relation, s}) {
					return false
				}
			}
		}
	}
	return true
}

// Defines reports whether the model defines a relation for an object's type.
// Check of any other relation does not hold; a face that must tell "no such
// relation" from "no" asks this first.
func (g Graph) Defines(object, relation string) bool {
	return g.rules[typeOf(object)][relation] != nil
}

// Validate reports why t may not be written under g's model: its spelling, a
// reserved object type, an undefined type or relation, a relation that is only
// computed, or a subject that the type restrictions do not allow. The fault kind
// is Malformed.
func (g Graph) Validate(t Tuple) error {
	if err := t.wellFormed(); err != nil {
		return err
	}
	typ := typeOf(t.Object)
	if Reserved(typ) {
		return fault.New(fault.Malformed, "tuple %s: type %s is Ambit's own and cannot be written", t, typ).
			WithHint("change it by its own verb (mission, revoke …)")
	}
	relations, ok := g.model.Types[typ]
	if !ok {
		return fault.New(fault.Malformed, "tuple %s: the model defines no type %s", t, typ).WithHint("add the type to the model and apply it first")
	}
	if _, ok := relations[t.Relation]; !ok {
		return fault.New(fault.Malformed, "tuple %s: type %s has no relation %s", t, typ, t.Relation)
	}
	var allowed []string
	for _, d := range g.rules[typ][t.Relation].direct {
		if d.relation != t.Relation {
			continue
		}
		if d.allows(parseSubject(t.Subject)) {
			return nil
		}
		for _, a := range d.allowed {
			allowed = append(allowed, a.String())
		}
	}
	if len(allowed) == 0 {
		return fault.New(fault.Malformed, "tuple %s: relation %s of %s is computed and cannot be assigned", t, t.Relation, typ)
	}
	return fault.New(fault.Malformed, "tuple %s: relation %s of %s may be assigned to %s only", t, t.Relation, typ, strings.Join(allowed, ", "))
}
