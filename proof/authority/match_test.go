package authority

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func constraint(t testing.TB, text string) Constraint {
	t.Helper()
	var c Constraint
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func set(t testing.TB, text string) Set {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func TestConstraintMatch(t *testing.T) {
	for _, tc := range []struct{ constraint, yes, no string }{
		{`{"any":true}`, `null 0 "" [] {}`, ``},
		{`{"exact":"P1"}`, `"P1" "P\u0031"`, `"P10" "p1" 1 ["P1"] null`},
		{`{"exact":1}`, `1 1.0 1e0 10e-1 0.1e1 1.000000000000000000000`, `true "1" 1.0000000000000000000001 -1 1e1`},
		{`{"exact":0}`, `0 -0 0.0 0e999999999999999999999999`, `1e-999999999 false null ""`},
		{`{"exact":true}`, `true`, `1 "true" false`},
		{`{"exact":null}`, `null`, `0 "" false`},
		{`{"exact":{"a":1,"b":["x"]}}`, `{"b":["x"],"a":1.0} {"a":1,"b":["\u0078"]}`, `{"a":1} {"a":1,"b":["x"],"c":0} {"a":1,"a":1,"b":["x"]} {"a":1,"a":2}`},
		{`{"exact":"\ud83d\ude00"}`, `"😀" "\uD83D\uDE00"`, `"\ud83d" "\ufffd"`},
		{`{"exact":"\ufffd"}`, `"\ufffd"`, `"\ud83d" "\ude00\ud83d"`},
		{`{"oneOf":["a",2]}`, `"a" 2.0`, `"2" "b" null`},
		{`{"prefix":"P1"}`, `"P1" "P10" "\u00501"`, `"p1" 1 ["P1"]`},
		{`{"suffix":".txt"}`, `".txt" "a.txt"`, `"a.txt " null`},
		{`{"maxLength":2}`, `"" "ab" "日本" "😀😀" "\u65e5\u672c"`, `"abc" "日本語" 1 [] null`},
		{`{"range":{"min":1,"max":9}}`, `1 9 9.0 0.9e1 1e0 5`, `0.9999999999999999999999 9.0000000000000000000001 "5" 1e99999999999999999999 true -5 1e-99`},
		{`{"range":{"min":-5}}`, `-5 -4.5 0 1e300 1e100000000 -1e-100000000`, `-5.01 -1e100000000 null 1e99999999999999999999`},
		{`{"range":{"max":0.3}}`, `0.3 0.29999999999999999999 -1e9`, `0.30000000000000000001 3e-1000000000e`},
		{`{"and":[{"prefix":"a"},{"maxLength":3}]}`, `"a" "abc"`, `"abcd" "b" 1`},
	} {
		c := constraint(t, tc.constraint)
		for _, v := range strings.Fields(tc.yes) {
			if !c.Match(json.RawMessage(v)) {
				t.Errorf("%s does not match %s", tc.constraint, v)
			}
		}
		for _, v := range strings.Fields(tc.no) {
			if c.Match(json.RawMessage(v)) {
				t.Errorf("%s matches %s", tc.constraint, v)
			}
		}
	}
}

// TestPathMatch is SEMANTICS section 4, and its golden case 38.
func TestPathMatch(t *testing.T) {
	for _, tc := range []struct {
		prefix string
		yes    []string
		no     []string
	}{
		{"/P1", []string{"/P1", "/P1/x", "/./P1/./x/.", "/P1/.", "/P1/...", "/P1/%", "/P1/%zz", "/P1/100%", "/P1/x%2"},
			[]string{"", "/", "P1", "./P1", "/P10/x", "/P1/../P2", "/P1/..", "/P1/", "//P1", "/P1//x", `/P1\x`, "/P1/a\x00", "/P1/%2e%2e", "/P1/%2F", "/p1", "/.", "/P1%41"}},
		{"./data", []string{"data", "./data", "data/a", "./data/./a", "././data"},
			[]string{"/data", "data/", "./", "data2", "../data", "data/../x", ".", ""}},
		{".", []string{".", "a", "./a", "./."}, []string{"/", "/a", "", "..", "a/"}},
		{"/.", []string{"/.", "/a", "/./a"}, []string{"/", "a", ".", "//a", ""}},
	} {
		c := Constraint{PathPrefix: &tc.prefix}
		for _, p := range tc.yes {
			if raw, _ := json.Marshal(p); !c.Match(raw) {
				t.Errorf("%q is not within %q", p, tc.prefix)
			}
		}
		for _, p := range tc.no {
			if raw, _ := json.Marshal(p); c.Match(raw) {
				t.Errorf("%q is within %q", p, tc.prefix)
			}
		}
	}
	for _, bad := range []string{"", "/", "/P1/", "a//b", "..", "a/..", `a\b`, "a%2f", "a\x00"} {
		c := Constraint{PathPrefix: &bad}
		if c.Validate() == nil || c.Match(json.RawMessage(`"a"`)) {
			t.Errorf("pathPrefix %q is accepted", bad)
		}
	}
}

// TestMalformedMatchesNothing: what does not parse, built by hand.
func TestMalformedMatchesNothing(t *testing.T) {
	n, p := -1, "P1"
	v := StringValue("P1")
	for name, c := range map[string]Constraint{
		"no kind":         {},
		"two kinds":       {Any: true, Exact: &v},
		"empty oneOf":     {OneOf: []Value{}},
		"empty and":       {And: []Constraint{}},
		"zero value":      {Exact: &Value{}},
		"empty range":     {Range: &Range{}},
		"negative length": {MaxLength: &n},
		"inner optional":  {And: []Constraint{{Prefix: &p, Optional: true}}},
		"inner malformed": {And: []Constraint{{Prefix: &p}, {}}},
		"half an and":     {OneOf: []Value{v}, And: []Constraint{}},
	} {
		wide := Constraint{Any: true}
		if c.Match(json.RawMessage(`"P1"`)) || c.Subset(&wide) || c.Validate() == nil {
			t.Errorf("%s: is taken for a constraint", name)
		}
		if m := c.Meet(&wide); m.Match(json.RawMessage(`"P1"`)) {
			t.Errorf("%s: its meet matches", name)
		}
		c.Optional = true
		it := Item{Type: MCPTool, Server: "s", Actions: []string{"a"}, Arguments: map[string]Constraint{"x": c}}
		if it.Match(Request{Type: MCPTool, Server: "s", Action: "a"}) != No {
			t.Errorf("%s: lets its argument be absent", name)
		}
	}
	for name, it := range map[string]Item{
		"unknown type":   {Type: "shell", Server: "s", Actions: []string{"a"}},
		"no type":        {Server: "s", Actions: []string{"a"}},
		"no server":      {Type: MCPTool, Actions: []string{"a"}},
		"unknown others": {Type: MCPTool, Server: "s", Actions: []string{"a"}, OtherArguments: "some"},
		"empty action":   {Type: MCPTool, Server: "s", Actions: []string{""}},
	} {
		s := Set{it}
		r := Request{Type: it.Type, Server: it.Server, Action: it.Actions[0]}
		if s.Match(r) != No || len(Meet(s, s)) != 0 {
			t.Errorf("%s: matches", name)
		}
		if ok, _ := s.Subset(s); ok {
			t.Errorf("%s: is a subset", name)
		}
	}
}

func TestItemMatch(t *testing.T) {
	const s = `[{"type":"mcp_tool","server":"srv_1","actions":["read","list"],"resource":{"prefix":"patient:"},
		"arguments":{"patient":{"exact":"P1"},"kind":{"oneOf":["labs","vitals"],"optional":true}}},
		{"type":"mcp_tool","server":"srv_1","actions":["note"],"arguments":{"text":{"any":true}},"otherArguments":"any"},
		{"type":"api","actions":["orders"]}]`
	for _, tc := range []struct {
		what    string
		req     Request
		args    string
		want    Answer
		unknown Answer
	}{
		{"inside", Request{MCPTool, "srv_1", "read", "patient:P1", nil, false}, `{"patient":"P1"}`, Yes, Maybe},
		{"optional present", Request{MCPTool, "srv_1", "list", "patient:P1", nil, false}, `{"patient":"P1","kind":"labs"}`, Yes, Maybe},
		{"optional outside", Request{MCPTool, "srv_1", "read", "patient:P1", nil, false}, `{"patient":"P1","kind":"all"}`, No, Maybe},
		{"other patient", Request{MCPTool, "srv_1", "read", "patient:P2", nil, false}, `{"patient":"P2"}`, No, Maybe},
		{"argument nobody named", Request{MCPTool, "srv_1", "read", "patient:P1", nil, false}, `{"patient":"P1","x":1}`, No, Maybe},
		{"argument missing", Request{MCPTool, "srv_1", "read", "patient:P1", nil, false}, `{}`, No, Maybe},
		{"no resource", Request{MCPTool, "srv_1", "read", "", nil, false}, `{"patient":"P1"}`, No, Maybe},
		{"resource of another type", Request{MCPTool, "srv_1", "read", "ward:1", nil, false}, `{"patient":"P1"}`, No, No},
		{"same tool elsewhere", Request{MCPTool, "srv_2", "read", "patient:P1", nil, false}, `{"patient":"P1"}`, No, No},
		{"other tool", Request{MCPTool, "srv_1", "delete", "patient:P1", nil, false}, `{"patient":"P1"}`, No, No},
		{"other type", Request{API, "srv_1", "read", "patient:P1", nil, false}, `{"patient":"P1"}`, No, No},
		{"others any", Request{MCPTool, "srv_1", "note", "", nil, false}, `{"text":"x","y":[1]}`, Yes, Maybe},
		{"null is present", Request{MCPTool, "srv_1", "note", "", nil, false}, `{"text":null}`, Yes, Maybe},
		{"required of any", Request{MCPTool, "srv_1", "note", "", nil, false}, `{"y":1}`, No, Maybe},
		{"no arguments", Request{API, "", "orders", "", nil, false}, ``, Yes, Maybe},
		{"absent server is no wildcard", Request{API, "srv_1", "orders", "", nil, false}, ``, No, No},
	} {
		if tc.args != "" {
			if err := json.Unmarshal([]byte(tc.args), &tc.req.Arguments); err != nil {
				t.Fatal(err)
			}
		}
		if got := set(t, s).Match(tc.req); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.what, got, tc.want)
		}
		tc.req.Unknown, tc.req.Arguments = true, nil
		if got := set(t, s).Match(tc.req); got != tc.unknown {
			t.Errorf("%s, arguments unknown: %v, want %v", tc.what, got, tc.unknown)
		}
	}
	if (Set)(nil).Match(Request{Type: API, Action: "x"}) != No || set(t, `[{"type":"api","actions":[]}]`).Match(Request{Type: API}) != No {
		t.Error("an empty authority matches")
	}
	open := set(t, `[{"type":"api","actions":["a"],"arguments":{"x":{"any":true,"optional":true}},"otherArguments":"any"}]`)
	if got := open.Match(Request{Type: API, Action: "a", Unknown: true}); got != Yes {
		t.Errorf("everything is inside, but unknown arguments say %v", got)
	}
}

// TestHugeNumbers: an exponent or a long literal costs its length, no more.
func TestHugeNumbers(t *testing.T) {
	c := constraint(t, `{"range":{"min":0,"max":100}}`)
	start := time.Now()
	for _, v := range []string{"1e1000000000", "1e-1000000000", "1E+999999999999999", "-1e" + strings.Repeat("9", 1<<16),
		"0." + strings.Repeat("0", 1<<16) + "1", strings.Repeat("9", 1<<16)} {
		c.Match(json.RawMessage(v))
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("comparing took %v", d)
	}
	if !c.Match(json.RawMessage("1e-1000000000")) || c.Match(json.RawMessage("1e1000000000")) {
		t.Error("wrong about 10^±1000000000")
	}
}

// TestMatchAllocates holds Match to no allocation on a typical call.
func TestMatchAllocates(t *testing.T) {
	s, r := typical(t)
	if s.Match(r) != Yes {
		t.Fatal("the typical call is outside")
	}
	if n := testing.AllocsPerRun(100, func() { s.Match(r) }); n > 0 {
		t.Errorf("%v allocations a match", n)
	}
}

func typical(t testing.TB) (Set, Request) {
	s := set(t, `[{"type":"mcp_tool","server":"srv_01jd3v7q8x9m2n4p6r8t0v2w4y","actions":["write_note"],"arguments":{"encounter":{"exact":"E1"},"text":{"maxLength":1000}}},
		{"type":"mcp_tool","server":"srv_01jd3v7q8x9m2n4p6r8t0v2w4y","actions":["read"],"resource":{"prefix":"patient:"},
		"arguments":{"patient":{"exact":"P1"},"path":{"pathPrefix":"/records/P1"},"n":{"range":{"min":1,"max":100}},"kind":{"oneOf":["labs","vitals"],"optional":true}}}]`)
	return s, Request{Type: MCPTool, Server: "srv_01jd3v7q8x9m2n4p6r8t0v2w4y", Action: "read", Resource: "patient:P1",
		Arguments: map[string]json.RawMessage{"patient": json.RawMessage(`"P1"`), "path": json.RawMessage(`"/records/P1/labs/2026/note.txt"`),
			"n": json.RawMessage("42"), "kind": json.RawMessage(`"vitals"`)}}
}

func BenchmarkMatch(b *testing.B) {
	s, r := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Match(r)
	}
}

func BenchmarkSubset(b *testing.B) {
	s, _ := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Subset(s)
	}
}
