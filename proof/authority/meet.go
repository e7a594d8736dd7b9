package authority

import (
	"maps"
	"slices"
)

// Meet returns the widest authority inside both a and b: a call is in it
// exactly when it is in both. Items that can match nothing, and items inside
// another one, are dropped; the order follows a, then b.
func Meet(a, b Set) Set {
	var out Set
	for i := range a {
		for j := range b {
			it, ok := a[i].Meet(&b[j])
			if !ok || slices.ContainsFunc(out, func(o Item) bool { return it.Subset(&o) }) {
				continue
			}
			out = slices.DeleteFunc(out, func(o Item) bool { return o.Subset(&it) })
			out = append(out, it)
		}
	}
	return out
}

// Meet returns the item inside both it and o. It is false when that is provably
// nothing, or when one of them is malformed.
func (it *Item) Meet(o *Item) (Item, bool) {
	if it.Type != o.Type || it.Server != o.Server || it.Validate() != nil || o.Validate() != nil {
		return Item{}, false
	}
	m := Item{Type: it.Type, Server: it.Server, Resource: meetResource(it.Resource, o.Resource)}
	for _, a := range it.Actions {
		if slices.Contains(o.Actions, a) {
			m.Actions = append(m.Actions, a)
		}
	}
	slices.Sort(m.Actions)
	m.Actions = slices.Compact(m.Actions)
	if it.OtherArguments == AnyOther && o.OtherArguments == AnyOther {
		m.OtherArguments = AnyOther
	}
	for _, name := range slices.Sorted(maps.Keys(it.Arguments)) {
		c := it.Arguments[name]
		d, named := o.Arguments[name]
		m.conjoin(name, c, d, named, o.OtherArguments)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Arguments)) {
		if _, done := it.Arguments[name]; !done {
			m.conjoin(name, o.Arguments[name], Constraint{}, false, it.OtherArguments)
		}
	}
	return m, !m.Empty()
}

// conjoin puts what two items say of one argument into m: c, and d where the
// other item names it too, else what that item says of others.
func (m *Item) conjoin(name string, c, d Constraint, named bool, others string) {
	switch {
	case named:
		c = c.Meet(&d)
	case others != AnyOther: // the other item lets it be absent only
		optional := c.Optional
		c = nothing()
		c.Optional = optional
	}
	if c.Optional && m.OtherArguments != AnyOther && c.normal().never {
		return // absent only, which is what not being named says already
	}
	if m.Arguments == nil {
		m.Arguments = map[string]Constraint{}
	}
	m.Arguments[name] = c
}

func meetResource(a, b *Constraint) *Constraint {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	c := a.Meet(b)
	return &c
}

// Meet returns the constraint that a value satisfies exactly when it satisfies
// both c and d; the argument may be absent when both let it be. The meet with a
// malformed constraint is malformed.
func (c *Constraint) Meet(d *Constraint) Constraint {
	if c.check(true) != nil || d.check(true) != nil {
		return Constraint{}
	}
	var n normal
	n.conjoin(c)
	n.conjoin(d)
	n.settle()
	m := n.constraint()
	m.Optional = c.Optional && d.Optional
	return m
}

// Empty reports whether it provably matches no call. A false answer proves
// nothing.
func (it *Item) Empty() bool {
	if len(it.Actions) == 0 || it.Resource != nil && it.Resource.normal().never {
		return true
	}
	for _, c := range it.Arguments {
		if !c.Optional && c.normal().never {
			return true
		}
	}
	return false
}
