package authority

import (
	"encoding/json"
	"slices"
	"strings"
)

// A normal is the conjunction that a constraint is, with at most one atom of
// each kind left. Meet and Subset work on it. The zero normal is any.
type normal struct {
	bad    bool // malformed: matches nothing and is a subset of nothing
	never  bool // provably matches nothing
	values []Value
	// What follows is empty when values are known: they have been asked already.
	prefix, path, suffix *string
	min, max             *json.Number
	length               *int
	source               []Constraint // the atoms that were conjoined
}

// normal returns the normal form of the body of c, that is without Optional.
func (c *Constraint) normal() normal {
	if c.check(true) != nil {
		return normal{bad: true}
	}
	var n normal
	n.conjoin(c)
	n.settle()
	return n
}

// free reports whether n matches every value.
func (n normal) free() bool { return !n.bad && len(n.source) == 0 }

// conjoin adds the atoms of c, a valid constraint.
func (n *normal) conjoin(c *Constraint) {
	k := c.kind()
	if k == andKind {
		for i := range c.And {
			n.conjoin(&c.And[i])
		}
		return
	}
	if k == anyKind {
		return
	}
	n.source = append(n.source, *c)
	switch k {
	case exactKind:
		n.conjoinValues([]Value{*c.Exact})
	case oneOfKind:
		n.conjoinValues(c.OneOf)
	case prefixKind:
		n.narrow(&n.prefix, c.Prefix, strings.HasPrefix)
	case suffixKind:
		n.narrow(&n.suffix, c.Suffix, strings.HasSuffix)
	case pathKind:
		n.narrow(&n.path, c.PathPrefix, func(a, b string) bool { return pathWithin([]byte(a), b) })
	case rangeKind:
		if c.Range.Min != nil && (n.min == nil || compareNumbers(*c.Range.Min, *n.min) > 0) {
			n.min = c.Range.Min
		}
		if c.Range.Max != nil && (n.max == nil || compareNumbers(*c.Range.Max, *n.max) < 0) {
			n.max = c.Range.Max
		}
	case lengthKind:
		if n.length == nil || *c.MaxLength < *n.length {
			n.length = c.MaxLength
		}
	}
}

func (n *normal) conjoinValues(vs []Value) {
	if n.values == nil {
		n.values = vs // settle asks them whether they satisfy the rest
	}
}

// narrow keeps the narrower of two atoms of one kind; of two that exclude each
// other nothing is left.
func (n *normal) narrow(have **string, more *string, within func(a, b string) bool) {
	switch {
	case *have == nil || within(*more, **have):
		*have = more
	case !within(**have, *more):
		n.never = true
	}
}

// settle finds what can be proved about the atoms together. Emptiness is
// monotone: whatever is inside something provably empty is provably empty too,
// which makes Subset transitive.
func (n *normal) settle() {
	if n.values != nil {
		var left []Value
		for _, v := range n.values {
			o := jsonOperand(v.Raw)
			if !slices.ContainsFunc(left, v.Equal) && !slices.ContainsFunc(n.source, func(c Constraint) bool { return !c.matches(&o) }) {
				left = append(left, v)
			}
		}
		*n = normal{values: left, source: n.source, never: left == nil}
		return
	}
	least := 0
	for _, s := range []*string{n.prefix, n.suffix} {
		if s != nil {
			least = max(least, length([]byte(*s)))
		}
	}
	if n.path != nil {
		least = max(least, pathLength(*n.path))
	}
	n.never = n.never || n.text() && n.number() ||
		n.length != nil && *n.length < least ||
		n.min != nil && n.max != nil && compareNumbers(*n.min, *n.max) > 0
}

// text and number say that only strings, or only numbers, can match.
func (n normal) text() bool {
	return n.prefix != nil || n.suffix != nil || n.path != nil || n.length != nil
}

func (n normal) number() bool { return n.min != nil || n.max != nil }

// nothing is a well-formed constraint that no value satisfies: what is left of
// two that exclude each other.
func nothing() Constraint {
	zero := json.Number("0")
	length := 0
	return Constraint{And: []Constraint{{MaxLength: &length}, {Range: &Range{Min: &zero, Max: &zero}}}}
}

// constraint writes n down again.
func (n normal) constraint() Constraint {
	if n.bad {
		return Constraint{}
	}
	if n.never {
		return nothing()
	}
	switch len(n.values) {
	case 0:
	case 1:
		return Constraint{Exact: &n.values[0]}
	default:
		return Constraint{OneOf: n.values}
	}
	var and []Constraint
	if n.prefix != nil {
		and = append(and, Constraint{Prefix: n.prefix})
	}
	if n.path != nil {
		and = append(and, Constraint{PathPrefix: n.path})
	}
	if n.suffix != nil {
		and = append(and, Constraint{Suffix: n.suffix})
	}
	if n.number() {
		and = append(and, Constraint{Range: &Range{Min: n.min, Max: n.max}})
	}
	if n.length != nil {
		and = append(and, Constraint{MaxLength: n.length})
	}
	switch len(and) {
	case 0:
		return Constraint{Any: true}
	case 1:
		return and[0]
	}
	return Constraint{And: and}
}

// within reports whether every value of n is provably one of o.
func (n normal) within(o normal) bool {
	switch {
	case n.bad || o.bad:
		return false
	case n.never || o.free():
		return true
	case o.never:
		return false
	case n.values != nil:
		return !slices.ContainsFunc(n.values, func(v Value) bool {
			op := jsonOperand(v.Raw)
			return slices.ContainsFunc(o.source, func(c Constraint) bool { return !c.matches(&op) })
		})
	case o.values != nil:
		return false
	}
	return n.inside(n.prefix, o.prefix, strings.HasPrefix) &&
		n.inside(n.suffix, o.suffix, strings.HasSuffix) &&
		n.inside(n.path, o.path, func(a, b string) bool { return pathWithin([]byte(a), b) }) &&
		(o.length == nil || n.length != nil && *n.length <= *o.length) &&
		(o.min == nil || n.min != nil && compareNumbers(*n.min, *o.min) >= 0) &&
		(o.max == nil || n.max != nil && compareNumbers(*n.max, *o.max) <= 0)
}

// inside asks one kind of atom about strings. The empty prefix or suffix says
// only that the value is a string.
func (n normal) inside(a, b *string, within func(a, b string) bool) bool {
	return b == nil || *b == "" && n.text() || a != nil && within(*a, *b)
}
