package relation

import (
	"maps"
	"slices"

	"github.com/ambit-iam/ambit/internal/fault"
)

// maxNesting bounds unions inside unions.
const maxNesting = 32

// Relations returns the names of all relations of m, sorted and without
// repetition: what a policy may mention. A name that is not among them never
// holds, so a policy that mentions one is surely misspelt.
func (m Model) Relations() []string {
	names := map[string]bool{}
	for _, relations := range m.Types {
		for name := range relations {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Validate reports the first fault of m, by type and relation in sorted order:
// names that are not names, references to what is not defined, a tupleset that is
// not directly assigned, and relations that could never hold.
func (m Model) Validate() error {
	for _, typ := range slices.Sorted(maps.Keys(m.Types)) {
		if !isName(typ, maxType) {
			return fault.New(fault.Malformed, "model: %.60q is not a type name", typ)
		}
		for _, name := range slices.Sorted(maps.Keys(m.Types[typ])) {
			if !isName(name, maxRelation) {
				return &Invalid{Type: typ, Relation: name, Reason: "is not a relation name"}
			}
			if err := m.check(typ, name, m.Types[typ][name], 0); err != nil {
				return err
			}
		}
	}
	for typ, relations := range m.rules() {
		for name, r := range relations {
			if len(r.direct) == 0 && len(r.from) == 0 {
				return &Invalid{Type: typ, Relation: name, Reason: "can never hold: it is computed from itself only"}
			}
		}
	}
	return nil
}

// Invalid says which relation of a model is wrong. Its fault kind is Malformed.
type Invalid struct{ Type, Relation, Reason string }

// Error returns the sentence for people.
func (e *Invalid) Error() string {
	return "model: relation " + e.Relation + " of type " + e.Type + " " + e.Reason
}

// Unwrap makes fault.KindOf and fault.Safe see a Malformed fault.
func (e *Invalid) Unwrap() error { return fault.New(fault.Malformed, "%s", e.Error()) }

func (m Model) check(typ, name string, r Rewrite, nesting int) error {
	invalid := func(reason string) error { return &Invalid{typ, name, reason} }
	if nesting > maxNesting {
		return invalid("nests too deeply")
	}
	set := 0
	for _, member := range []bool{len(r.Direct) > 0, r.Computed != "", r.From != nil, len(r.Union) > 0} {
		if member {
			set++
		}
	}
	if set != 1 {
		return invalid("must be exactly one of direct, computed, from and union")
	}
	switch {
	case r.Computed != "":
		if _, ok := m.Types[typ][r.Computed]; !ok {
			return invalid("is computed from " + r.Computed + ", which type " + typ + " does not define")
		}
	case r.From != nil:
		return m.checkFrom(typ, name, *r.From)
	}
	for _, a := range r.Direct {
		relations, ok := m.Types[a.Type]
		switch {
		case !ok:
			return invalid("allows type " + a.Type + ", which is not defined")
		case a.Wildcard && a.Relation != "":
			return invalid("allows " + a.Type + " both as a wildcard and with a relation")
		case a.Relation != "":
			if _, ok := relations[a.Relation]; !ok {
				return invalid("allows " + a.Type + "#" + a.Relation + ", which is not defined")
			}
		}
	}
	for _, u := range r.Union {
		if err := m.check(typ, name, u, nesting+1); err != nil {
			return err
		}
	}
	return nil
}

// checkFrom wants the tupleset to be assigned directly and to plain objects only,
// and at least one of their types to define the relation: so OpenFGA has it.
func (m Model) checkFrom(typ, name string, f From) error {
	invalid := func(reason string) error { return &Invalid{typ, name, reason} }
	tupleset, ok := m.Types[typ][f.Tupleset]
	if !ok {
		return invalid("follows " + f.Tupleset + ", which type " + typ + " does not define")
	}
	if len(tupleset.Direct) == 0 {
		return invalid("follows " + f.Tupleset + ", which is not directly assigned")
	}
	defined := false
	for _, a := range tupleset.Direct {
		if a.Relation != "" || a.Wildcard {
			return invalid("follows " + f.Tupleset + ", which allows more than plain objects")
		}
		if _, ok := m.Types[a.Type][f.Relation]; ok {
			defined = true
		}
	}
	if !defined {
		return invalid("wants " + f.Relation + " from " + f.Tupleset + ", but no type that " + f.Tupleset + " allows defines it")
	}
	return nil
}

// rules is a model made ready to search: type → relation → rule.
type rules map[string]map[string]*rule

// A rule is one relation with everything that is computed on the same object
// unfolded, so that every remaining step of a search follows a tuple.
type rule struct {
	same   []string // the relation itself and all that imply it on the same object
	direct []assigned
	from   []follow
}

// assigned: a tuple of this relation on the same object.
type assigned struct {
	relation string
	allowed  []Allowed
}

// follow: relation of the objects that tupleset names, where they are of types.
type follow struct {
	tupleset, relation string
	types              []string
}

// rules compiles m. It is total: what m does not define never holds, so a model
// that Validate refuses can only grant less.
func (m Model) rules() rules {
	out := make(rules, len(m.Types))
	for typ, relations := range m.Types {
		out[typ] = make(map[string]*rule, len(relations))
		for name := range relations {
			r := &rule{}
			m.unfold(typ, name, r)
			out[typ][name] = r
		}
	}
	return out
}

func (m Model) unfold(typ, name string, r *rule) {
	if slices.Contains(r.same, name) {
		return
	}
	r.same = append(r.same, name)
	m.rewrite(typ, name, m.Types[typ][name], r, 0)
}

func (m Model) rewrite(typ, name string, w Rewrite, r *rule, nesting int) {
	switch {
	case nesting > maxNesting:
	case w.Computed != "":
		m.unfold(typ, w.Computed, r)
	case w.From != nil:
		f := follow{tupleset: w.From.Tupleset, relation: w.From.Relation}
		for _, a := range m.Types[typ][w.From.Tupleset].Direct {
			if _, ok := m.Types[a.Type][f.relation]; ok && a.Relation == "" && !a.Wildcard {
				f.types = append(f.types, a.Type)
			}
		}
		r.from = append(r.from, f)
	case len(w.Direct) > 0:
		r.direct = append(r.direct, assigned{name, w.Direct})
	}
	for _, u := range w.Union {
		m.rewrite(typ, name, u, r, nesting+1)
	}
}

// allows reports whether a tuple of a may name s.
func (a assigned) allows(s subject) bool {
	return slices.ContainsFunc(a.allowed, func(w Allowed) bool {
		return w.Type == s.typ && w.Relation == s.relation && w.Wildcard == s.wildcard
	})
}

// String returns the restriction as a model writes it.
func (a Allowed) String() string {
	switch {
	case a.Wildcard:
		return a.Type + ":*"
	case a.Relation != "":
		return a.Type + "#" + a.Relation
	}
	return a.Type
}
