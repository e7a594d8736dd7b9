package authority

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestString(t *testing.T) {
	for in, want := range map[string]string{
		`[]`: "nothing",
		`[{"type":"mcp_tool","server":"srv_1","actions":["read"],"arguments":{"patient":{"exact":"P1"}}}]`: "read on srv_1 where patient = P1",
		`[{"type":"mcp_tool","server":"srv_1","actions":["read","list"],"resource":{"prefix":"patient:"},"arguments":{
			"path":{"pathPrefix":"./data"},"kind":{"oneOf":["labs",1,true,"1"],"optional":true}},"otherArguments":"any"},
			{"type":"api","actions":["orders"]}]`: `read, list on srv_1 where resource starts with patient: and kind is one of labs, 1, true, "1" (if present) and path is within path ./data, any other arguments; orders on api, no arguments`,
		`[{"type":"resource","server":"x","actions":[],"otherArguments":"any","arguments":{}}]`:                                                                                                               "nothing on resource x, any arguments",
		`[{"type":"api","actions":["pay"],"arguments":{"a":{"range":{"min":1,"max":9}},"b":{"range":{"max":0.5}},"c":{"range":{"min":-1}},"d":{"and":[{"suffix":".md"},{"maxLength":9}]},"e":{"any":true}}}]`: `pay on api where 1 ≤ a ≤ 9 and b ≤ 0.5 and c ≥ -1 and d ends with .md and d has at most 9 characters and e is anything`,
		`[{"type":"api","actions":["a b\u001b[2J"],"arguments":{"x\u202e":{"exact":"P1 and y = P2"},"y":{"exact":[1,"a"]}}}]`:                                                                                 `"a b\x1b[2J" on api where "x\u202e" = "P1 and y = P2" and y = "[1,\"a\"]"`,
	} {
		if got := set(t, in).String(); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
	named := set(t, `[{"type":"mcp_tool","server":"srv_1","actions":["read"]}]`).Describe(func(string) string { return "records" })
	if named != "read on records, no arguments" {
		t.Error(named)
	}
	a, b := constraint(t, `{"exact":"P1"}`), constraint(t, `{"exact":"P2","optional":true}`)
	if m := a.Meet(&b); m.String() != "value is nothing" {
		t.Error(m.String())
	}
	if s := (Constraint{}).String(); s != "value is malformed" {
		t.Error(s)
	}
}

func TestLimits(t *testing.T) {
	limits := func(text string) Limits {
		var l Limits
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return l
	}
	for in, want := range map[string]string{
		`{"calls":-1}`: "limits.calls: is negative", `{"rows":1.5}`: "limits.rows: is not a whole number",
		`{"Calls":1}`: "limits.Calls: is not a limit", `{"calls":1,"calls":2}`: "limits.calls: appears twice",
		`{"rate":{"n":1}}`: "limits.rate", `{"rate":{"n":10001,"per":1}}`: "limits.rate", `{"rate":{"n":1,"per":60,"x":1}}`: "limits.rate.x",
		`{"maxDepth":0}`: "limits.maxDepth", `{"maxDepth":65}`: "limits.maxDepth", `{"calls":null}`: "limits.calls", `null`: "limits: is not an object",
		`{"maxChildren":-1}`: "limits.maxChildren: is negative", `{"cost":1e19}`: "limits.cost",
	} {
		var l Limits
		if err := json.Unmarshal([]byte(in), &l); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
	parent := limits(`{"calls":40,"rate":{"n":10,"per":30},"maxDepth":3}`)
	for in, ok := range map[string]bool{
		`{}`: true, `{"calls":40}`: true, `{"calls":41}`: false, `{"cost":1000000}`: true, `{"maxDepth":3}`: true, `{"maxDepth":4}`: false,
		`{"rate":{"n":10,"per":30}}`: true, `{"rate":{"n":10,"per":60}}`: true, `{"rate":{"n":5,"per":20}}`: true,
		`{"rate":{"n":6,"per":20}}`: false, `{"rate":{"n":10,"per":29}}`: false, `{"rate":{"n":11,"per":3600}}`: false,
	} {
		if err := limits(in).Within(parent); (err == nil) != ok {
			t.Errorf("%s within %v: %v", in, parent, err)
		}
	}
	got := limits(`{"calls":1,"maxChildren":2}`).Inherit(parent)
	if *got.Calls != 1 || *got.MaxChildren != 2 || *got.MaxDepth != 3 || got.Rate.N != 10 || got.Cost != nil {
		t.Errorf("inherited %+v", got)
	}
}

// TestRateWithin holds Rate.within against every schedule of a small world: the
// greatest number of calls that r lets into a window of p.
func TestRateWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) Rate {
			return Rate{N: rapid.Int64Range(0, 12).Draw(t, what+" n"), Per: rapid.Int64Range(1, 12).Draw(t, what+" per")}
		}
		r, p := draw("r"), draw("p")
		most := int64(0) // bursts of N at the start of each of r's windows
		for at := int64(0); at < p.Per; at += r.Per {
			most += r.N
		}
		if got := r.within(p); got != (most <= p.N) {
			t.Fatalf("%v within %v: %v; it lets %d through", r, p, got, most)
		}
	})
}
