package authority

import "slices"

// Subset reports whether every call in s is provably in of. Otherwise at is the
// index of the first item of s that is not covered. It splits each item by
// action and asks each part to lie within one item of the other: sound, not
// complete.
func (s Set) Subset(of Set) (ok bool, at int) {
	for i := range s {
		if !s[i].covered(of) {
			return false, i
		}
	}
	return true, 0
}

func (it *Item) covered(of Set) bool {
	if it.Validate() != nil {
		return false
	}
	if it.Empty() {
		return true
	}
	for _, a := range it.Actions {
		if !slices.ContainsFunc(of, func(o Item) bool {
			return slices.Contains(o.Actions, a) && o.Validate() == nil && it.bodyWithin(&o)
		}) {
			return false
		}
	}
	return true
}

// Subset reports whether every call in it is provably in o.
func (it *Item) Subset(o *Item) bool { return it.covered(Set{*o}) }

// bodyWithin is Subset for one action that both name; both are valid.
func (it *Item) bodyWithin(o *Item) bool {
	if it.Type != o.Type || it.Server != o.Server || it.OtherArguments == AnyOther && o.OtherArguments != AnyOther {
		return false
	}
	if o.Resource != nil && (it.Resource == nil || !it.Resource.Subset(o.Resource)) {
		return false
	}
	for name, d := range o.Arguments {
		c, named := it.Arguments[name]
		switch {
		case named && !c.Subset(&d):
			return false
		case !named && !d.Optional: // the calls of it may leave it out
			return false
		case !named && it.OtherArguments == AnyOther && !d.normal().free():
			return false
		}
	}
	for name, c := range it.Arguments {
		if _, named := o.Arguments[name]; named || o.OtherArguments == AnyOther {
			continue
		}
		if !c.Optional || !c.normal().never { // o lets it be absent only
			return false
		}
	}
	return true
}

// Subset reports whether every value of c, and absence where c lets it, is
// provably allowed by d.
func (c *Constraint) Subset(d *Constraint) bool {
	if c.Optional && !d.Optional {
		return false
	}
	return c.normal().within(d.normal())
}
