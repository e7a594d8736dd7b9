package authority

import (
	"encoding/json"
	"fmt"

	"pgregory.net/rapid"
)

// The generators draw from small alphabets, so that constraints meet, exclude
// and contain each other often.

var (
	words = []string{"", "P", "P1", "P10", "P2", "/P1", "/P1/x", "P1/x", "./P1", "a/../b", "/P1/", "x", "é", "日本", "1"}
	paths = []string{".", "/.", "/P1", "/P1/x", "P1", "./P1", "P1/./x", "P10", "/./P1"}
	nums  = []string{"0", "1", "1.0", "10e-1", "-1", "2.5", "1e2", "-0"}
)

func values() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.SampledFrom(words), func(s string) string { b, _ := json.Marshal(s); return string(b) }),
		rapid.SampledFrom(nums),
		rapid.SampledFrom([]string{"true", "false", "null", "[]", "[1]", `{"a":1,"b":[2]}`, `{"b":[2.0],"a":1}`, `"P\u0031"`}),
	)
}

func constraints(optional bool, depth int) *rapid.Generator[Constraint] {
	return rapid.Custom(func(t *rapid.T) Constraint {
		var c Constraint
		top := 8
		if depth > 0 {
			top = 9
		}
		word := func() *string { s := rapid.SampledFrom(words).Draw(t, "word"); return &s }
		value := func() Value {
			var v Value
			if err := v.UnmarshalJSON([]byte(values().Draw(t, "value"))); err != nil {
				t.Fatal(err)
			}
			return v
		}
		switch rapid.IntRange(1, top).Draw(t, "kind") {
		case 1:
			c.Any = true
		case 2:
			v := value()
			c.Exact = &v
		case 3:
			for range rapid.IntRange(1, 3).Draw(t, "n") {
				c.OneOf = append(c.OneOf, value())
			}
		case 4:
			c.Prefix = word()
		case 5:
			p := rapid.SampledFrom(paths).Draw(t, "path")
			c.PathPrefix = &p
		case 6:
			c.Suffix = word()
		case 7:
			c.Range = interval(t)
		case 8:
			n := rapid.IntRange(0, 5).Draw(t, "length")
			c.MaxLength = &n
		case 9:
			c.And = rapid.SliceOfN(constraints(false, depth-1), 1, 3).Draw(t, "and")
		}
		c.Optional = optional && rapid.Bool().Draw(t, "optional")
		return c
	})
}

func interval(t *rapid.T) *Range {
	end := func() *json.Number {
		n := json.Number(rapid.SampledFrom(nums).Draw(t, "end"))
		return &n
	}
	r := &Range{Min: end(), Max: end()}
	if compareNumbers(*r.Min, *r.Max) > 0 {
		r.Min, r.Max = r.Max, r.Min
	}
	switch rapid.IntRange(0, 2).Draw(t, "open") {
	case 0:
		r.Min = nil
	case 1:
		r.Max = nil
	}
	return r
}

func items() *rapid.Generator[Item] {
	return rapid.Custom(func(t *rapid.T) Item {
		it := Item{
			Type:    rapid.SampledFrom([]Type{MCPTool, MCPTool, MCPTool, API}).Draw(t, "type"),
			Server:  rapid.SampledFrom([]string{"s1", "s1", "s2"}).Draw(t, "server"),
			Actions: rapid.SliceOfN(rapid.SampledFrom([]string{"read", "write", "sign"}), 0, 3).Draw(t, "actions"),
		}
		if rapid.Bool().Draw(t, "resource") {
			c := constraints(false, 1).Draw(t, "on resource")
			it.Resource = &c
		}
		it.Arguments = rapid.MapOfN(rapid.SampledFrom([]string{"p", "q"}), constraints(true, 2), 0, 2).Draw(t, "arguments")
		if rapid.Bool().Draw(t, "others") {
			it.OtherArguments = AnyOther
		}
		return it
	})
}

func sets() *rapid.Generator[Set] {
	return rapid.Map(rapid.SliceOfN(items(), 0, 3), func(i []Item) Set { return i })
}

func requests() *rapid.Generator[Request] {
	return rapid.Custom(func(t *rapid.T) Request {
		r := Request{
			Type:     rapid.SampledFrom([]Type{MCPTool, MCPTool, API}).Draw(t, "type"),
			Server:   rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "server"),
			Action:   rapid.SampledFrom([]string{"read", "write", "sign"}).Draw(t, "action"),
			Resource: rapid.SampledFrom(words).Draw(t, "resource"),
		}
		args := rapid.MapOfN(rapid.SampledFrom([]string{"p", "q", "r"}), values(), 0, 2).Draw(t, "arguments")
		for k, v := range args {
			if r.Arguments == nil {
				r.Arguments = map[string]json.RawMessage{}
			}
			r.Arguments[k] = json.RawMessage(v)
		}
		return r
	})
}

// samples is a fixed spread of values that every law is also asked about.
func samples() []json.RawMessage {
	var out []json.RawMessage
	for _, w := range words {
		b, _ := json.Marshal(w)
		out = append(out, b)
	}
	for _, n := range nums {
		out = append(out, json.RawMessage(n))
	}
	for _, s := range []string{"true", "false", "null", "[1]", "[]", `{"a":1,"b":[2]}`, "[1.0]", "3", `"abcdefgh"`, `"P1/x/y"`} {
		out = append(out, json.RawMessage(s))
	}
	return out
}

// calls is the spread of calls on one item: every pair of samples would be too
// many, so p takes each and q one of a few.
func calls(it Item) []Request {
	var out []Request
	for _, a := range it.Actions {
		for i, p := range samples() {
			args := map[string]json.RawMessage{"p": p}
			for k := range 3 {
				if k > 0 {
					args[fmt.Sprint("qr"[k-1:k])] = samples()[(i+k)%len(samples())]
				}
				r := Request{Type: it.Type, Server: it.Server, Action: a, Resource: words[i%len(words)], Arguments: map[string]json.RawMessage{}}
				for n, v := range args {
					r.Arguments[n] = v
				}
				out = append(out, r)
			}
		}
		out = append(out, Request{Type: it.Type, Server: it.Server, Action: a, Resource: "P1"})
	}
	return out
}
