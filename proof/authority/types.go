package authority

import "encoding/json"

// A Set is an authority: a union of items. The empty Set permits nothing.
// Its JSON is an array, as in RFC 9396 authorization_details; a nil Set is
// written [] and null is refused.
//
// A Set and everything in it is immutable once built: operations return new
// values and may share parts with their operands, so all of them are safe for
// concurrent use.
type Set []Item

// An Item permits calls of one type on one server.
type Item struct {
	Type      Type                  `json:"type"`
	Server    string                `json:"server,omitempty"`    // uid; required for MCPTool, absent is never a wildcard
	Actions   []string              `json:"actions"`             // tool or method names; empty permits nothing
	Resource  *Constraint           `json:"resource,omitempty"`  // on the resource id "type:id"; nil means any, or none
	Arguments map[string]Constraint `json:"arguments,omitempty"` // by top-level argument name
	// OtherArguments says whether arguments that Arguments does not name may be
	// present: "" (none may) or "any".
	OtherArguments string `json:"otherArguments,omitempty"`
}

// AnyOther is the value of Item.OtherArguments that lets arguments pass that
// the item does not name.
const AnyOther = "any"

// A Type is the type of an authorization detail; the list is closed.
type Type string

// The types of authority.
const (
	MCPTool  Type = "mcp_tool"
	API      Type = "api"
	Resource Type = "resource"
)

// A Constraint restricts one value. Exactly one of its kinds is set; a
// Constraint of no kind, or of two, is malformed: it matches nothing, is a
// subset of nothing, and does not parse. In JSON it is an object with that one
// member, beside optional: {"exact":"P1"}, {"pathPrefix":"./data"},
// {"any":true}, {"range":{"min":1,"max":9}}, {"and":[…]}.
type Constraint struct {
	Any        bool         `json:"any,omitempty"` // every value, null too
	Exact      *Value       `json:"exact,omitempty"`
	OneOf      []Value      `json:"oneOf,omitempty"`
	Prefix     *string      `json:"prefix,omitempty"`
	PathPrefix *string      `json:"pathPrefix,omitempty"`
	Suffix     *string      `json:"suffix,omitempty"`
	Range      *Range       `json:"range,omitempty"`
	MaxLength  *int         `json:"maxLength,omitempty"` // of strings, in code points, inclusive
	And        []Constraint `json:"and,omitempty"`
	// Optional lets an argument be absent. It is allowed on an argument's
	// outermost constraint only; elsewhere it is malformed.
	Optional bool `json:"optional,omitempty"`
}

// A Range is an inclusive interval of numbers; a nil end is open. At least one
// end is set.
type Range struct {
	Min *json.Number `json:"min,omitempty"`
	Max *json.Number `json:"max,omitempty"`
}

// A Request is the call that an authority is asked about. Arguments are the
// members of the call's JSON object, nil when there is none: each one valid
// JSON, from an object whose names were distinct, with its numbers as they were
// sent (a number that went through float64 is another number). Unknown says
// that the arguments are not known yet (list filtering); then Resource may be
// "" because it is not known either.
type Request struct {
	Type      Type
	Server    string
	Action    string
	Resource  string // "type:id", "" when the call has none
	Arguments map[string]json.RawMessage
	Unknown   bool
}

// A kind is which of its members a Constraint has set.
type kind uint8

const (
	malformed kind = iota
	anyKind
	exactKind
	oneOfKind
	prefixKind
	pathKind
	suffixKind
	rangeKind
	lengthKind
	andKind
)

// kind returns the one kind of c, or malformed when there is none or more than
// one, or when a list is empty.
func (c *Constraint) kind() kind {
	k, n := malformed, 0
	if c.Any {
		k, n = anyKind, n+1
	}
	if c.Exact != nil {
		k, n = exactKind, n+1
	}
	if c.OneOf != nil {
		k, n = oneOfKind, n+1
	}
	if c.Prefix != nil {
		k, n = prefixKind, n+1
	}
	if c.PathPrefix != nil {
		k, n = pathKind, n+1
	}
	if c.Suffix != nil {
		k, n = suffixKind, n+1
	}
	if c.Range != nil {
		k, n = rangeKind, n+1
	}
	if c.MaxLength != nil {
		k, n = lengthKind, n+1
	}
	if c.And != nil {
		k, n = andKind, n+1
	}
	if n != 1 || k == oneOfKind && len(c.OneOf) == 0 || k == andKind && len(c.And) == 0 {
		return malformed
	}
	return k
}
