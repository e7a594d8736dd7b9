package mapping

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

const records principal.UID = "srv_00000000000000000000000001"

func catalogue(tools ...Tool) Catalogue {
	c := Catalogue{}.WithServer(Server{ID: records, Handle: "records", URL: "https://records.example/mcp"})
	for i, t := range tools {
		t.ID = principal.UID("tol_0000000000000000000000000" + string(rune('1'+i)))
		t.Server = records
		c = c.WithTool(t)
	}
	return c
}

func TestResolve(t *testing.T) {
	c := catalogue(
		Tool{Name: "read", Effect: Read, Resource: "patient:{args.patient}"},
		Tool{Name: "freeze", Effect: Payment, Resource: "account:{args.account}", Cost: "args.cost", Rows: "2"},
		Tool{Name: "note", Effect: "odd", Resource: "note:{args.encounter}/{args.note}"},
		Tool{Name: "ping"},
	)
	for _, tt := range []struct {
		name, tool, args string
		resource         string
		cost, rows       int64
		kind             fault.Kind
		says             string
	}{
		{name: "text", tool: "read", args: `{"patient":"P1"}`, resource: "patient:P1"},
		{name: "whole number", tool: "read", args: `{"patient":17}`, resource: "patient:17"},
		{name: "number that readers round", tool: "read", args: `{"patient":9007199254740993}`, kind: fault.Malformed, says: "would be rounded"},
		{name: "largest exact number", tool: "read", args: `{"patient":9007199254740991}`, resource: "patient:9007199254740991"},
		{name: "escape", tool: "read", args: `{"patient":"\u0050\u0031"}`, resource: "patient:P1"},
		{name: "escaped name", tool: "read", args: `{"p\u0061tient":"P1"}`, resource: "patient:P1"},
		{name: "value that looks like a type", tool: "read", args: `{"patient":"x:admin:{args.y}"}`, resource: "patient:x:admin:{args.y}"},
		{name: "bool", tool: "read", args: `{"patient":true}`, resource: "patient:true"},
		{name: "absent", tool: "read", args: `{}`, kind: fault.Malformed, says: "argument patient is missing"},
		{name: "no arguments", tool: "read", kind: fault.Malformed, says: "argument patient is missing"},
		{name: "empty", tool: "read", args: `{"patient":""}`, kind: fault.Malformed, says: "argument patient is empty"},
		{name: "null", tool: "read", args: `{"patient":null}`, kind: fault.Malformed, says: "argument patient has to be text"},
		{name: "list", tool: "read", args: `{"patient":["P1"]}`, kind: fault.Malformed, says: "argument patient has to be text"},
		{name: "object", tool: "read", args: `{"patient":{}}`, kind: fault.Malformed, says: "argument patient has to be text"},
		{name: "two spellings of a number", tool: "read", args: `{"patient":1.0}`, kind: fault.Malformed, says: "whole number"},
		{name: "minus zero", tool: "read", args: `{"patient":-0}`, kind: fault.Malformed, says: "whole number"},
		{name: "duplicate key", tool: "read", args: `{"patient":"P1","p\u0061tient":"P2"}`, kind: fault.Malformed, says: "strict JSON"},
		{name: "trailing bytes", tool: "read", args: `{"patient":"P1"}{}`, kind: fault.Malformed, says: "strict JSON"},
		{name: "not an object", tool: "ping", args: `["a"]`, kind: fault.Malformed, says: "not a JSON object"},
		{name: "null arguments", tool: "ping", args: `null`, kind: fault.Malformed, says: "not a JSON object"},
		{name: "too long", tool: "read", args: `{"patient":"` + strings.Repeat("a", 5000) + `"}`, kind: fault.TooLarge, says: "longer than 4096"},
		{name: "no resource", tool: "ping", args: `{"a":[1]}`},
		{name: "unknown tool", tool: "reed", args: `{}`, kind: fault.NotFound, says: `has no tool "reed"`},
		{name: "names are exact", tool: "Read", args: `{"patient":"P1"}`, kind: fault.NotFound, says: "has no tool"},
		{name: "priced", tool: "freeze", args: `{"account":"a","cost":30}`, resource: "account:a", cost: 30, rows: 2},
		{name: "no price", tool: "freeze", args: `{"account":"a"}`, resource: "account:a", cost: -1, rows: 2},
		{name: "negative price", tool: "freeze", args: `{"account":"a","cost":-5}`, resource: "account:a", cost: -1, rows: 2},
		{name: "fraction", tool: "freeze", args: `{"account":"a","cost":1.5}`, resource: "account:a", cost: -1, rows: 2},
		{name: "price as text", tool: "freeze", args: `{"account":"a","cost":"5"}`, resource: "account:a", cost: -1, rows: 2},
		{name: "price that would wrap a counter", tool: "freeze", args: `{"account":"a","cost":9223372036854774784}`, resource: "account:a", cost: -1, rows: 2},
		{name: "two parts", tool: "note", args: `{"encounter":"E1","note":"n/7"}`, resource: "note:E1/n/7"},
		{name: "a part that poses as two", tool: "note", args: `{"encounter":"E1/n","note":"7"}`, kind: fault.Malformed, says: "ends it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Resolve(c, records, tt.tool, json.RawMessage(tt.args))
			if tt.says != "" {
				msg, _ := fault.Safe(err)
				if fault.KindOf(err) != tt.kind || !strings.Contains(msg, tt.says) {
					t.Fatalf("got %v (%v), want %v: %s", err, fault.KindOf(err), tt.kind, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Resource != tt.resource || a.Cost != tt.cost || a.Rows != tt.rows {
				t.Errorf("got %q cost %d rows %d, want %q %d %d", a.Resource, a.Cost, a.Rows, tt.resource, tt.cost, tt.rows)
			}
		})
	}
	if a, _ := Resolve(c, records, "note", json.RawMessage(`{"encounter":"E","note":"n"}`)); a.Effect != Write {
		t.Errorf("an unknown effect is %q, want write", a.Effect)
	}
	if a, err := Outline(c, records, "read"); err != nil || !a.Unknown || a.Resource != "" || a.Name != "read" {
		t.Errorf("outline: %+v, %v", a, err)
	}
}

func TestTemplateValidate(t *testing.T) {
	for in, says := range map[Template]string{
		"":                          "",
		"patient:{args.patient}":    "",
		"note:{args.a}/{args.b}.md": "",
		"ward:7":                    "",
		"patient":                   "write type:id",
		"patient:":                  "no id",
		"{args.type}:1":             "write type:id",
		"p:{args.a}{args.b}":        "touches",
		"p:{context.id}":            "not a placeholder",
		"p:{args.}":                 "not a placeholder",
		"p:{args.a":                 "not a placeholder",
		"p:a}":                      "closes nothing",
	} {
		err := in.Validate()
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", in, err, says)
		}
	}
}

// TestRenderIsInjective: no two calls whose arguments differ share a resource by
// moving text between placeholders, and Read gives the arguments back.
func TestRenderIsInjective(t *testing.T) {
	tpl := Template("x:{args.a}--{args.b}/{args.c}")
	word := rapid.StringMatching(`[-/ab]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		args := map[string]json.RawMessage{}
		for _, name := range []string{"a", "b", "c"} {
			raw, _ := json.Marshal(word.Draw(t, name))
			args[name] = raw
		}
		resource, err := tpl.Render(args)
		if err != nil {
			return
		}
		back, ok := tpl.Read(resource)
		if !ok || cmp.Diff(args, back) != "" {
			t.Fatalf("%s reads back as %s (%v), was %s", resource, back, ok, args)
		}
	})
}

func FuzzResolve(f *testing.F) {
	f.Add("patient:{args.p}", `{"p":"P1"}`)
	f.Add("x:{args.a}/{args.b}", `{"a":1,"b":"\ud83d\ude00"}`)
	f.Add("x:a", `{"a":1e999999999}`)
	f.Fuzz(func(t *testing.T, tpl, args string) {
		if Template(tpl).Validate() != nil {
			return
		}
		c := catalogue(Tool{Name: "t", Resource: Template(tpl), Cost: "args.a"})
		a, err := Resolve(c, records, "t", json.RawMessage(args))
		if err != nil {
			return
		}
		if typ := Template(tpl).Type(); tpl != "" && !strings.HasPrefix(a.Resource, typ+":") {
			t.Fatalf("resource %q is not of type %q", a.Resource, typ)
		}
		if a.Cost < -1 || a.Cost > math.MaxInt64/2 {
			t.Fatalf("cost %d", a.Cost)
		}
	})
}

func TestPinNameEffect(t *testing.T) {
	if Pin(json.RawMessage(`{"b":1, "a":2}`)) != Pin(json.RawMessage(`{"a":2,"b":1.0}`)) {
		t.Error("a pin depends on spelling")
	}
	if Pin(json.RawMessage(`{"a":1,"a":2}`)) != "" {
		t.Error("a definition with a duplicate key has a pin")
	}
	if n, err := NameOf(json.RawMessage(`{"Name":"evil","name":"good"}`)); n != "good" || err != nil {
		t.Errorf("name %q, %v", n, err)
	}
	for def, want := range map[string]Effect{
		`{"name":"a"}`: Write,
		`{"name":"a","annotations":{"readOnlyHint":true}}`:                        Read,
		`{"name":"a","annotations":{"readOnlyHint":true,"destructiveHint":true}}`: Destructive,
		`{"name":"a","annotations":{"readOnlyHint":"true"}}`:                      Write,
		`{"name":"a","annotations":[]}`:                                           Write,
		`nonsense`:                                                                Write,
	} {
		if got := EffectOf(json.RawMessage(def)); got != want {
			t.Errorf("%s: %s, want %s", def, got, want)
		}
	}
}
