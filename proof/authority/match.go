package authority

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// An Answer says whether a call is inside an authority. The zero Answer is No.
type Answer uint8

// The answers. Maybe is given only for a Request whose arguments are Unknown:
// some arguments would be inside, or could not be shown not to be.
const (
	No Answer = iota
	Maybe
	Yes
)

// String returns "no", "maybe" or "yes".
func (a Answer) String() string {
	if a > Yes {
		return "no"
	}
	return [...]string{"no", "maybe", "yes"}[a]
}

// Match reports whether the call r lies inside some item of s. It runs on every
// call: it allocates only to decode strings that hold escapes, and its cost is
// linear in the constraints it meets.
func (s Set) Match(r Request) Answer {
	best := No
	for i := range s {
		switch s[i].Match(r) {
		case Yes:
			return Yes
		case Maybe:
			best = Maybe
		}
	}
	return best
}

// Match reports whether the call r lies inside it.
func (it *Item) Match(r Request) Answer {
	if !it.known() || it.Type != r.Type || it.Server != r.Server || r.Action == "" ||
		!slices.Contains(it.Actions, r.Action) {
		return No
	}
	if r.Unknown {
		return it.matchUnknown(r)
	}
	if it.Resource != nil && !it.matchResource(r.Resource) {
		return No
	}
	named := 0
	for name, c := range it.Arguments {
		raw, present := r.Arguments[name]
		if !present {
			if !c.Optional || c.check(true) != nil {
				return No
			}
			continue
		}
		named++
		if !c.Match(raw) {
			return No
		}
	}
	if it.OtherArguments != AnyOther && named != len(r.Arguments) {
		return No
	}
	return Yes
}

// known reports whether the item's closed words are ones this package knows.
func (it *Item) known() bool {
	switch it.Type {
	case MCPTool:
		if it.Server == "" {
			return false
		}
	case API, Resource:
	default:
		return false
	}
	return it.OtherArguments == "" || it.OtherArguments == AnyOther
}

// matchResource asks the constraint on the resource. A call without a resource
// is outside every such constraint.
func (it *Item) matchResource(resource string) bool {
	if resource == "" || it.Resource.Optional {
		return false
	}
	o := textOperand(resource)
	return it.Resource.matches(&o)
}

// matchUnknown answers for a call of which only type, server and action are
// certain: No when no arguments at all could match, Yes when all would.
func (it *Item) matchUnknown(r Request) Answer {
	if it.Validate() != nil || it.Empty() || it.Resource != nil && r.Resource != "" && !it.matchResource(r.Resource) {
		return No
	}
	if it.OtherArguments != AnyOther || it.Resource != nil && r.Resource == "" {
		return Maybe
	}
	for _, c := range it.Arguments {
		if !c.Optional || !c.normal().free() {
			return Maybe
		}
	}
	return Yes
}

// Match reports whether the JSON value raw, present, satisfies c.
func (c *Constraint) Match(raw json.RawMessage) bool {
	if c.kind() == anyKind {
		return true // without a look at what may be long
	}
	o := jsonOperand(raw)
	return c.matches(&o)
}

// matches is Match on a value that was decoded. Optional has its say where the
// argument is looked up, not here.
func (c *Constraint) matches(o *operand) bool {
	switch c.kind() {
	case anyKind:
		return true
	case exactKind:
		return o.equals(*c.Exact)
	case oneOfKind:
		for _, v := range c.OneOf {
			if o.equals(v) {
				return true
			}
		}
		return false
	case rangeKind:
		n, ok := o.number()
		return ok && c.Range.contains(n)
	case andKind:
		for i := range c.And {
			if c.And[i].Optional || !c.And[i].matches(o) {
				return false
			}
		}
		return true
	case prefixKind, pathKind, suffixKind, lengthKind:
		return o.isText && c.matchText(o.str)
	}
	return false
}

// matchText asks the kinds that are about strings.
func (c *Constraint) matchText(s []byte) bool {
	switch {
	case c.Prefix != nil:
		p := *c.Prefix
		return utf8.ValidString(p) && len(s) >= len(p) && string(s[:len(p)]) == p
	case c.Suffix != nil:
		p := *c.Suffix
		return utf8.ValidString(p) && len(s) >= len(p) && string(s[len(s)-len(p):]) == p
	case c.PathPrefix != nil:
		return pathWithin(s, *c.PathPrefix)
	case c.MaxLength != nil:
		return *c.MaxLength >= 0 && length(s) <= *c.MaxLength
	}
	return false
}
