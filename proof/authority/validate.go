package authority

import (
	"encoding/json"
	"unicode/utf8"
)

// Validate returns nil, or an *Error that says which item is malformed and how.
func (s Set) Validate() error {
	for i := range s {
		if err := s[i].validate(); err != nil {
			return under(element("", i), err)
		}
	}
	return nil
}

// Validate is Set.Validate for one item.
func (it *Item) Validate() error {
	if err := it.validate(); err != nil {
		return err
	}
	return nil
}

// under puts the path of the part before that of its error. Paths are built on
// the way out, so that validating what is valid allocates nothing.
func under(at string, err *Error) *Error {
	return &Error{Of: err.Of, Path: at + err.Path, Reason: err.Reason}
}

func flaw(at, reason string) *Error { return &Error{Of: "authority", Path: at, Reason: reason} }

func (it *Item) validate() *Error {
	if it.Type == "" {
		return flaw(".type", "is required: mcp_tool, api or resource")
	}
	if it.Type == MCPTool && it.Server == "" {
		return flaw(".server", "is required for mcp_tool; no server is not every server")
	}
	return it.check()
}

// check validates all of it but whether a type and a server are named.
func (it *Item) check() *Error {
	switch it.Type {
	case "", MCPTool, API, Resource:
	default:
		return flaw(".type", "is not one of mcp_tool, api and resource")
	}
	for i, a := range it.Actions {
		if a == "" || !utf8.ValidString(a) {
			return flaw(element(".actions", i), "is not the name of an action")
		}
	}
	if it.Resource != nil {
		if err := it.Resource.check(false); err != nil {
			return under(".resource", err)
		}
	}
	var first *Error // by path: the same flaw is named every time
	for name, c := range it.Arguments {
		err := c.check(true)
		if !utf8.ValidString(name) {
			err = flaw("", "is a name that is not valid Unicode")
		}
		if err == nil {
			continue
		}
		if err = under(member(".arguments", name), err); first == nil || err.Path < first.Path {
			first = err
		}
	}
	if first != nil {
		return first
	}
	if it.OtherArguments != "" && it.OtherArguments != AnyOther {
		return flaw(".otherArguments", `is not "any"; leave it out to refuse other arguments`)
	}
	return nil
}

// Validate is Set.Validate for the constraint of an argument.
func (c *Constraint) Validate() error {
	if err := c.check(true); err != nil {
		return err
	}
	return nil
}

// check validates c; outermost says whether optional may stand here.
func (c *Constraint) check(outermost bool) *Error {
	if c.Optional && !outermost {
		return flaw(".optional", "may stand on an argument's outermost constraint only")
	}
	switch c.kind() {
	case malformed:
		return flaw("", "needs exactly one of any, exact, oneOf, prefix, pathPrefix, suffix, range, maxLength and and, not empty")
	case exactKind:
		if !c.Exact.valid() {
			return flaw(".exact", "is not a value that can be compared")
		}
	case oneOfKind:
		for i := range c.OneOf {
			if !c.OneOf[i].valid() {
				return flaw(element(".oneOf", i), "is not a value that can be compared")
			}
		}
	case prefixKind:
		if !utf8.ValidString(*c.Prefix) {
			return flaw(".prefix", "is not valid Unicode")
		}
	case suffixKind:
		if !utf8.ValidString(*c.Suffix) {
			return flaw(".suffix", "is not valid Unicode")
		}
	case pathKind:
		if !utf8.ValidString(*c.PathPrefix) || !validPath(*c.PathPrefix) {
			return flaw(".pathPrefix", `is a path that nothing matches: no empty segment, "..", trailing "/", "\", NUL or "%" escape; the root is "/." and the working directory "."`)
		}
	case rangeKind:
		return c.Range.check()
	case lengthKind:
		if *c.MaxLength < 0 {
			return flaw(".maxLength", "is negative")
		}
	case andKind:
		for i := range c.And {
			if err := c.And[i].check(false); err != nil {
				return under(element(".and", i), err)
			}
		}
	}
	return nil
}

func (r *Range) check() *Error {
	if r.Min == nil && r.Max == nil {
		return flaw(".range", "needs min, max or both")
	}
	for i, end := range [...]*json.Number{r.Min, r.Max} {
		if end == nil {
			continue
		}
		if _, ok := canonicalNumber(string(*end)); !ok {
			return flaw([...]string{".range.min", ".range.max"}[i], "is not a number that RFC 8785 keeps; use fewer digits")
		}
	}
	if r.Min != nil && r.Max != nil && compareNumbers(*r.Min, *r.Max) > 0 {
		return flaw(".range", "has a min above its max")
	}
	return nil
}

// valid reports whether v equals itself.
func (v *Value) valid() bool {
	o := jsonOperand(v.Raw)
	return o.equals(*v)
}
