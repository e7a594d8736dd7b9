package authority

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// String describes s for people: "read on srv_… where patient = P1", items
// separated by "; ". Text from outside is quoted unless it is a plain word, so
// that nothing in it can pass for Ambit's own words or move a terminal.
func (s Set) String() string { return s.Describe(nil) }

// Describe is String with servers named by name; nil leaves their uids.
func (s Set) Describe(name func(server string) string) string {
	if len(s) == 0 {
		return "nothing"
	}
	parts := make([]string, len(s))
	for i := range s {
		parts[i] = s[i].Describe(name)
	}
	return strings.Join(parts, "; ")
}

// String describes one item.
func (it Item) String() string { return it.Describe(nil) }

// Describe is String with the server named by name; nil leaves its uid.
func (it Item) Describe(name func(server string) string) string {
	actions := make([]string, len(it.Actions))
	for i, a := range it.Actions {
		actions[i] = word(a)
	}
	out := strings.Join(actions, ", ")
	if out == "" {
		out = "nothing"
	}
	server := it.Server
	if server != "" && name != nil {
		server = name(server)
	}
	switch {
	case it.Type == MCPTool:
		out += " on " + word(server)
	case server == "":
		out += " on " + word(string(it.Type))
	default:
		out += " on " + word(string(it.Type)) + " " + word(server)
	}
	var where []string
	if it.Resource != nil {
		where = append(where, it.Resource.describe("resource"))
	}
	for _, arg := range slices.Sorted(maps.Keys(it.Arguments)) {
		c := it.Arguments[arg]
		where = append(where, c.describe(word(arg)))
	}
	if len(where) > 0 {
		out += " where " + strings.Join(where, " and ")
	}
	switch {
	case it.OtherArguments == AnyOther && len(it.Arguments) == 0:
		out += ", any arguments"
	case it.OtherArguments == AnyOther:
		out += ", any other arguments"
	case len(it.Arguments) == 0:
		out += ", no arguments"
	}
	return out
}

// String describes the constraint of something called "value".
func (c Constraint) String() string { return c.describe("value") }

func (c *Constraint) describe(what string) string {
	out := c.body(what)
	if c.Optional {
		out += " (if present)"
	}
	return out
}

func (c *Constraint) body(what string) string {
	switch c.kind() {
	case anyKind:
		return what + " is anything"
	case exactKind:
		return what + " = " + c.Exact.String()
	case oneOfKind:
		of := make([]string, len(c.OneOf))
		for i, v := range c.OneOf {
			of[i] = v.String()
		}
		return what + " is one of " + strings.Join(of, ", ")
	case prefixKind:
		return what + " starts with " + word(*c.Prefix)
	case suffixKind:
		return what + " ends with " + word(*c.Suffix)
	case pathKind:
		return what + " is within path " + word(*c.PathPrefix)
	case rangeKind:
		switch {
		case c.Range.Min == nil && c.Range.Max == nil:
		case c.Range.Min == nil:
			return what + " ≤ " + word(string(*c.Range.Max))
		case c.Range.Max == nil:
			return what + " ≥ " + word(string(*c.Range.Min))
		default:
			return word(string(*c.Range.Min)) + " ≤ " + what + " ≤ " + word(string(*c.Range.Max))
		}
	case lengthKind:
		return what + " has at most " + strconv.Itoa(*c.MaxLength) + " characters"
	case andKind:
		if c.check(true) == nil && c.normal().never {
			return what + " is nothing"
		}
		all := make([]string, len(c.And))
		for i := range c.And {
			all[i] = c.And[i].body(what)
		}
		return strings.Join(all, " and ")
	}
	return what + " is malformed"
}

// String returns the value for people: text as a plain word or quoted, other
// values as JSON.
func (v Value) String() string {
	if s, ok := v.Text(); ok {
		switch s {
		case "true", "false", "null":
			return strconv.Quote(s)
		}
		if _, number := parseDecimal([]byte(s)); number {
			return strconv.Quote(s)
		}
		return word(s)
	}
	if len(v.Raw) == 0 {
		return "malformed"
	}
	return word(string(v.Raw))
}

// word returns s as it is when it is a plain word, else quoted.
func word(s string) string {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("_-./:@+#*", c) >= 0) {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
