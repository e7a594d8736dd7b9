package authority

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Parse reads a Set strictly: one JSON array, valid Unicode, no member twice, no
// member that is not known, nothing malformed. An error is an *Error with the
// path of what is wrong. Shorthand is not known here.
func Parse(data []byte) (Set, error) {
	var s Set
	if err := s.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// UnmarshalJSON is as strict as Parse about all that is there, but leaves it to
// Validate to miss a type or a server: files in which these are understood are
// read with it. An item without them matches nothing.
func (s *Set) UnmarshalJSON(data []byte) error {
	n, err := read(data)
	if err != nil {
		return err
	}
	if n.kind != '[' {
		return wrong("", "is not an array of items")
	}
	out := make(Set, len(n.list))
	for i, m := range n.list {
		if out[i], err = m.item(element("", i)); err != nil {
			return err
		}
	}
	*s = out
	return nil
}

// MarshalJSON writes a nil Set as [].
func (s Set) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Item(s))
}

// MarshalJSON writes no actions as [].
func (it Item) MarshalJSON() ([]byte, error) {
	type plain Item // without methods
	if it.Actions == nil {
		it.Actions = []string{}
	}
	return json.Marshal(plain(it))
}

// UnmarshalJSON reads one item as Set.UnmarshalJSON does.
func (it *Item) UnmarshalJSON(data []byte) error {
	n, err := read(data)
	if err != nil {
		return err
	}
	*it, err = n.item("")
	return err
}

// UnmarshalJSON reads one constraint as strictly as Parse.
func (c *Constraint) UnmarshalJSON(data []byte) error {
	n, err := read(data)
	if err != nil {
		return err
	}
	if *c, err = n.constraint(""); err != nil {
		return err
	}
	return c.Validate()
}

// fields calls f with every member of an object, and refuses other values.
func (n node) fields(at string, f func(name, at string, m node) error) error {
	if n.kind != '{' {
		return wrong(at, "is not an object")
	}
	for i, name := range n.names {
		if err := f(name, member(at, name), n.list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n node) item(at string) (Item, error) {
	var it Item
	err := n.fields(at, func(name, at string, m node) (err error) {
		switch name {
		case "type":
			var s string
			s, err = m.string(at)
			it.Type = Type(s)
		case "server":
			it.Server, err = m.string(at)
		case "actions":
			it.Actions, err = list(m, at, node.string)
		case "resource":
			var c Constraint
			c, err = m.constraint(at)
			it.Resource = &c
		case "arguments":
			it.Arguments = make(map[string]Constraint, len(m.list))
			err = m.fields(at, func(name, at string, m node) (err error) {
				it.Arguments[name], err = m.constraint(at)
				return err
			})
		case "otherArguments":
			it.OtherArguments, err = m.string(at)
		default:
			err = wrong(at, "is not a member of an item")
		}
		return err
	})
	if err == nil && !slices.Contains(n.names, "actions") {
		err = wrong(member(at, "actions"), "is required; [] permits nothing")
	}
	if err != nil {
		return Item{}, err
	}
	if flaw := it.check(); flaw != nil {
		return Item{}, under(at, flaw)
	}
	return it, nil
}

func (n node) constraint(at string) (Constraint, error) {
	var c Constraint
	kinds := 0
	err := n.fields(at, func(name, at string, m node) (err error) {
		kinds++
		switch name {
		case "any":
			c.Any, err = m.bool(at)
			if err == nil && !c.Any {
				err = wrong(at, "can only be true")
			}
		case "exact":
			c.Exact, err = pointer(m.value(at))
		case "oneOf":
			c.OneOf, err = list(m, at, node.value)
		case "prefix":
			c.Prefix, err = pointer(m.string(at))
		case "pathPrefix":
			c.PathPrefix, err = pointer(m.string(at))
		case "suffix":
			c.Suffix, err = pointer(m.string(at))
		case "range":
			c.Range, err = pointer(m.interval(at))
		case "maxLength":
			c.MaxLength, err = pointer(m.small(at))
		case "and":
			c.And, err = list(m, at, node.constraint)
		case "optional":
			kinds--
			c.Optional, err = m.bool(at)
		default:
			err = wrong(at, "is not a kind of constraint")
		}
		return err
	})
	if err == nil && kinds != 1 {
		err = wrong(at, "needs exactly one kind of constraint, has %d", kinds)
	}
	return c, err
}

func (n node) interval(at string) (Range, error) {
	var r Range
	err := n.fields(at, func(name, at string, m node) (err error) {
		switch name {
		case "min":
			r.Min, err = pointer(m.numeral(at))
		case "max":
			r.Max, err = pointer(m.numeral(at))
		default:
			err = wrong(at, "is not min or max")
		}
		return err
	})
	return r, err
}

func (n node) string(at string) (string, error) {
	if n.kind != '"' {
		return "", wrong(at, "is not a string")
	}
	return n.text, nil
}

func (n node) bool(at string) (bool, error) {
	if n.kind != 't' {
		return false, wrong(at, "is not true or false")
	}
	return n.text == "true", nil
}

func (n node) numeral(at string) (json.Number, error) {
	s, ok := canonicalNumber(n.text)
	if n.kind != '0' || !ok {
		return "", wrong(at, "is not a number that RFC 8785 keeps; use fewer digits")
	}
	return json.Number(s), nil
}

func (n node) integer(at string) (int64, error) {
	s, err := n.numeral(at)
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return 0, wrong(at, "is not a whole number below 2⁶³")
	}
	return i, nil
}

// small is integer for what is an int.
func (n node) small(at string) (int, error) {
	i, err := n.integer(at)
	if err == nil && int64(int(i)) != i {
		err = wrong(at, "is out of range")
	}
	return int(i), err
}

// list reads an array whose elements one reads.
func list[T any](n node, at string, one func(node, string) (T, error)) ([]T, error) {
	if n.kind != '[' {
		return nil, wrong(at, "is not an array")
	}
	out := make([]T, len(n.list))
	for i, m := range n.list {
		var err error
		if out[i], err = one(m, element(at, i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pointer[T any](v T, err error) (*T, error) { return &v, err }
