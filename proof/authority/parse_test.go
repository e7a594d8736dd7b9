package authority

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	item := func(rest string) string { return `[{"type":"api","actions":["a"]` + rest + `}]` }
	on := func(c string) string { return item(`,"arguments":{"x":` + c + `}`) }
	for _, tc := range []struct{ in, want string }{
		{``, "authority: is not one JSON value"},
		{`[] []`, "authority: is not one JSON value"},
		{`null`, "authority: is not an array"},
		{`{}`, "authority: is not an array"},
		{`[1]`, "authority[0]: is not an object"},
		{`[{"type":"api"}]`, "authority[0].actions: is required"},
		{`[{"actions":["a"]}]`, "authority[0].type: is required"},
		{`[{"type":"shell","actions":["a"]}]`, "authority[0].type: is not one of"},
		{`[{"type":"mcp_tool","actions":["a"]}]`, "authority[0].server: is required"},
		{`[{"type":"api","type":"api","actions":[]}]`, "authority[0].type: appears twice"},
		{`[{"type":"api","\u0074ype":"api","actions":[]}]`, "authority[0].type: appears twice"},
		{`[{"Type":"api","actions":[]}]`, "authority[0].Type: is not a member"},
		{`[{"type":"api","actions":null}]`, "authority[0].actions: is not an array"},
		{`[{"type":"api","actions":[1]}]`, "authority[0].actions[0]: is not a string"},
		{`[{"type":"api","actions":[""]}]`, "authority[0].actions[0]: is not the name"},
		{item(`,"locations":["x"]`), "authority[0].locations: is not a member"},
		{item(`,"otherArguments":"some"`), "authority[0].otherArguments: is not"},
		{item(`,"resource":null`), "authority[0].resource: is not an object"},
		{item(`,"resource":{"any":true,"optional":true}`), "authority[0].resource.optional: may stand"},
		{item(`,"arguments":[]`), "authority[0].arguments: is not an object"},
		{on(`"P1"`), "authority[0].arguments.x: is not an object"},
		{on(`{}`), "authority[0].arguments.x: needs exactly one kind of constraint, has 0"},
		{on(`{"optional":true}`), "authority[0].arguments.x: needs exactly one"},
		{on(`{"exact":1,"any":true}`), "authority[0].arguments.x: needs exactly one kind of constraint, has 2"},
		{on(`{"any":false}`), "authority[0].arguments.x.any: can only be true"},
		{on(`{"regex":"a"}`), "authority[0].arguments.x.regex: is not a kind"},
		{on(`{"oneOf":[]}`), "authority[0].arguments.x: needs exactly one of"},
		{on(`{"and":[]}`), "authority[0].arguments.x: needs exactly one of"},
		{on(`{"and":[{"any":true},{"prefix":"a","optional":true}]}`), "authority[0].arguments.x.and[1].optional: may stand"},
		{on(`{"prefix":1}`), "authority[0].arguments.x.prefix: is not a string"},
		{on(`{"prefix":"\ud800"}`), "authority: holds text that is not valid Unicode"},
		{on("{\"prefix\":\"\xff\"}"), "authority: holds text that is not valid Unicode"},
		{on(`{"pathPrefix":"/P1/"}`), "authority[0].arguments.x.pathPrefix: is a path that nothing matches"},
		{on(`{"range":{}}`), "authority[0].arguments.x.range: needs min"},
		{on(`{"range":{"min":"1"}}`), "authority[0].arguments.x.range.min: is not a number"},
		{on(`{"range":{"min":2,"max":1}}`), "authority[0].arguments.x.range: has a min above"},
		{on(`{"range":{"low":2}}`), "authority[0].arguments.x.range.low: is not min or max"},
		{on(`{"range":{"min":1e400}}`), "authority[0].arguments.x.range.min: is not a number that RFC 8785 keeps"},
		{on(`{"exact":9007199254740993}`), "authority[0].arguments.x.exact: the number 9007199254740993 is not one"},
		{on(`{"exact":{"a":[1e-400]}}`), "authority[0].arguments.x.exact.a[0]: the number"},
		{on(`{"maxLength":-1}`), "authority[0].arguments.x.maxLength: is negative"},
		{on(`{"maxLength":1.5}`), "authority[0].arguments.x.maxLength: is not a whole number"},
		{on(`{"exact":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`), "is nested more than 32 deep"},
		{item(`,"arguments":{"a b":{}}`), `authority[0].arguments["a b"]: needs exactly one`},
	} {
		if _, err := Parse([]byte(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s\n got %v\nwant %s", tc.in, err, tc.want)
		}
	}
}

func TestCanonicalValue(t *testing.T) {
	for in, want := range map[string]string{
		`1.0`:                           `1`,
		`-0`:                            `0`,
		`1e21`:                          `1e+21`,
		`1e-7`:                          `1e-7`,
		`0.000001`:                      `0.000001`,
		`"\u0041\u2028\/\u0007<\n"`:     "\"A\u2028/\\u0007<\\n\"",
		`{"b":1,"a":{"d":2,"c":[ 3 ]}}`: `{"a":{"c":[3],"d":2},"b":1}`,
		`{"\ud83d\ude00":1,"\ufb33":2}`: "{\"😀\":1,\"\ufb33\":2}", // by UTF-16, not by code point
	} {
		var v Value
		if err := json.Unmarshal([]byte(in), &v); err != nil || string(v.Raw) != want {
			t.Errorf("%s became %s (%v), want %s", in, v.Raw, err, want)
		}
	}
}

func TestJSONOfNothing(t *testing.T) {
	for in, want := range map[string]any{
		`[]`:                               Set(nil),
		`[{"type":"api","actions":[]}]`:    Set{{Type: API}},
		`{"type":"resource","actions":[]}`: Item{Type: Resource},
	} {
		if got, err := json.Marshal(want); err != nil || string(got) != in {
			t.Errorf("%#v is %s (%v), want %s", want, got, err, in)
		}
	}
	if _, err := json.Marshal(Constraint{Exact: &Value{}}); err == nil {
		t.Error("a value that was never set has a JSON form")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`[{"type":"mcp_tool","server":"s","actions":["a"],"resource":{"prefix":"x"},"arguments":{"p":{"and":[{"pathPrefix":"./a"},{"maxLength":3}],"optional":true},"n":{"range":{"min":1}}},"otherArguments":"any"}]`))
	f.Add([]byte(`[{"type":"api","actions":[],"arguments":{"\ud83d\ude00":{"oneOf":[1,"a",null,{"a":[1e5]}]}}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(out)
		if err != nil {
			t.Fatalf("%s does not parse again: %v", out, err)
		}
		if ok, at := s.Subset(back); !ok {
			t.Fatalf("item %d of %s is not itself after a round trip", at, data)
		}
		m := Meet(s, back)
		if ok, at := m.Subset(s); !ok {
			t.Fatalf("item %d of the meet with itself is outside", at)
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		_ = s.String()
	})
}

// FuzzMatch: no bytes of a call make a match panic, and a match with a
// constraint's meet is a match with both.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`"/P1/./x"`), "/P1", "1")
	f.Add([]byte(`1.50e+3`), "a", "1500")
	f.Add([]byte(`"\ud83d\ude00"`), "./a", "-0.1e-5")
	f.Fuzz(func(t *testing.T, raw []byte, text, number string) {
		n := json.Number(number)
		v := StringValue(text)
		all := []Constraint{{Any: true}, {Exact: &v}, {Prefix: &text}, {Suffix: &text}, {PathPrefix: &text}, {Range: &Range{Min: &n}}, {Range: &Range{Max: &n}}}
		for i := range all {
			for j := range all {
				m := all[i].Meet(&all[j])
				if all[i].Validate() != nil || all[j].Validate() != nil {
					continue
				}
				if m.Match(raw) != (all[i].Match(raw) && all[j].Match(raw)) {
					t.Fatalf("%s: %v and %v meet in %v", raw, all[i], all[j], m)
				}
			}
		}
	})
}

// FuzzPath holds the matcher against a slow reading of SEMANTICS section 4.
func FuzzPath(f *testing.F) {
	for _, p := range paths {
		f.Add(p+"/x", p)
	}
	f.Add("/P1/../P2", "/P1")
	f.Add("a%2e", "a")
	segments := func(s string) (segs []string, absolute, ok bool) {
		s, absolute = strings.CutPrefix(s, "/")
		for i := range s {
			if i+3 <= len(s) && s[i] == '%' && strings.Trim(s[i+1:i+3], "0123456789abcdefABCDEF") == "" {
				return nil, false, false
			}
		}
		for _, seg := range strings.Split(s, "/") {
			if seg == "" || seg == ".." || strings.ContainsAny(seg, "\\\x00") {
				return nil, false, false
			}
			if seg != "." {
				segs = append(segs, seg)
			}
		}
		return segs, absolute, true
	}
	f.Fuzz(func(t *testing.T, path, prefix string) {
		p, pa, pok := segments(path)
		q, qa, qok := segments(prefix)
		want := pok && qok && pa == qa && len(p) >= len(q)
		for i := 0; want && i < len(q); i++ {
			want = p[i] == q[i]
		}
		if got := pathWithin([]byte(path), prefix); got != want {
			t.Fatalf("%q within %q: %v, want %v", path, prefix, got, want)
		}
	})
}
