package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// compileText compiles policies of a text; their ids are "1", "2" … in order.
func compileText(t testing.TB, text string) *Set {
	t.Helper()
	list, err := Parse("p", text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].ID = principal.UID(fmt.Sprint(i + 1))
	}
	s, err := Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clinician reads P1: the request that the tables vary.
func reading() Request {
	return Request{
		Principal:     Principal{Entity: Entity{"User", "usr_1"}, Parents: []Entity{{"Group", "grp_1"}}, Attributes: map[string]any{"level": 3}},
		Action:        Entity{"Action", "srv_1.read"},
		ActionParents: []Entity{{"Action", "srv_1"}, {"Action", "effect.read"}},
		Resource:      Entity{"patient", "P1"},
		Attributes:    map[string]any{"owner": Entity{"User", "usr_1"}},
		Context:       map[string]any{"link": int64(0), "mission": map[string]any{"rooted": "user"}, "origin": Entity{"User", "usr_1"}},
		Args:          map[string]json.RawMessage{"patient": json.RawMessage(`"P1"`), "n": json.RawMessage(`5`)},
		Relation:      func(name string) (bool, error) { return name == "care_team", nil },
	}
}

// said spells a result: permits, forbids, errors, requestable, shadow.
func said(r Result) string {
	ids := func(hits []Hit) string {
		var out []string
		for _, h := range hits {
			s := string(h.ID)
			if h.Error != "" {
				s += "!"
			}
			out = append(out, s)
		}
		return strings.Join(out, ",")
	}
	s := fmt.Sprintf("permit[%s] forbid[%s] error[%s]", ids(r.Permits), ids(r.Forbids), ids(r.Errors))
	if r.Requestable != nil {
		s += " requestable[" + ids(r.Requestable) + "]"
	}
	if r.Shadow != nil {
		s += " shadow[" + ids(r.Shadow) + "]"
	}
	if r.MaybePermit {
		s += " maybe permit"
	}
	if r.MaybeForbid {
		s += " maybe forbid"
	}
	return s
}

const (
	care     = `permit (principal, action in Action::"effect.read", resource is patient) when { context.relations.contains("care_team") };`
	truncate = "relation search truncated"
)

// An evaluateCase varies reading; want is spelt as said spells it.
type evaluateCase struct {
	name, text string
	change     func(*Request)
	want       string
}

func runEvaluate(t *testing.T, cases []evaluateCase) {
	t.Helper()
	for _, c := range cases {
		r := reading()
		if c.change != nil {
			c.change(&r)
		}
		got := compileText(t, c.text).Evaluate(r)
		if s := said(got); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, s, c.want)
		}
		for _, h := range got.Errors {
			if strings.HasPrefix(c.name, "29") && !strings.Contains(h.Error, truncate) {
				t.Errorf("%s: the diagnostic does not say why: %q", c.name, h.Error)
			}
		}
	}
}

// The golden cases, by their numbers in the semantics, as far as they are about
// policies.
func TestEvaluate(t *testing.T) {
	truncated := func(string) (bool, error) {
		return false, fault.Wrap(fault.Exhausted, errors.New("x"), truncate)
	}
	runEvaluate(t, []evaluateCase{
		{"no policies", "", nil, "permit[] forbid[] error[]"},
		{"1: care team", care, nil, "permit[1] forbid[] error[]"},
		{"3: off the care team", care, func(r *Request) { r.Relation = func(string) (bool, error) { return false, nil } }, "permit[] forbid[] error[]"},
		{"another action", care, func(r *Request) { r.ActionParents = []Entity{{"Action", "effect.write"}} }, "permit[] forbid[] error[]"},
		{"another type", care, func(r *Request) { r.Resource.Type = "document" }, "permit[] forbid[] error[]"},
		{"13: permit and plain forbid", care + `forbid (principal == User::"usr_1", action, resource);`, nil, "permit[1] forbid[2] error[]"},
		{"27: the permit errors", `permit (principal, action, resource) when { principal.nothing == 1 };`, nil, "permit[] forbid[] error[1!]"},
		{"28: the forbid errors", care + `forbid (principal, action, resource) when { principal.nothing == 1 };`, nil, "permit[1] forbid[2!] error[2!]"},
		{"28: an erring @approval forbid", care + `@approval forbid (principal, action, resource) when { principal.nothing == 1 };`, nil, "permit[1] forbid[2!] error[2!]"},
		{"29: relation search truncated", care + `forbid (principal, action, resource) when { !context.relations.contains("trusted") };`,
			func(r *Request) { r.Relation = truncated }, "permit[] forbid[2!] error[1!,2!]"},
		{"29: only who mentions the name", care + `permit (principal, action, resource); forbid (principal, action, resource) when { context.relations.containsAny(["x"]) };`,
			func(r *Request) {
				r.Relation = func(name string) (bool, error) {
					if name == "x" {
						return truncated(name)
					}
					return true, nil
				}
			}, "permit[1,2] forbid[3!] error[3!]"},
		{"29: not a candidate", care + `forbid (principal is Agent in Group::"grp_1", action, resource) when { context.relations.contains("x") };`, nil, "permit[1] forbid[] error[]"},
		{"31: shadow forbid", care + `@shadow forbid (principal, action, resource);`, nil, "permit[1] forbid[] error[] shadow[2]"},
		{"31: erring shadow forbid", care + `@shadow forbid (principal, action, resource) when { principal.nothing };`, nil, "permit[1] forbid[] error[] shadow[2!]"},
		{"31: shadow with truncated relation", `permit (principal, action, resource); @shadow forbid (principal, action, resource) when { context.relations.contains("x") };`,
			func(r *Request) { r.Relation = truncated }, "permit[1] forbid[] error[] shadow[2!]"},
	})
	if got := (*Set)(nil).Evaluate(reading()); said(got) != "permit[] forbid[] error[]" {
		t.Errorf("nil set: %s", said(got))
	}
}

func TestEvaluateScopesAndFacts(t *testing.T) {
	runEvaluate(t, []evaluateCase{
		{"shadow permit", `@shadow permit (principal, action, resource);`, nil, "permit[] forbid[] error[] shadow[1]"},
		{"requestable permit", `@requestable permit (principal, action, resource);`, nil, "permit[] forbid[] error[] requestable[1]"},
		{"45: requestable, condition gone", `@requestable permit (principal, action, resource) when { context.link == 1 };`, nil, "permit[] forbid[] error[]"},
		{"group", `permit (principal in Group::"grp_1", action, resource);`, nil, "permit[1] forbid[] error[]"},
		{"server", `permit (principal, action in Action::"srv_1", resource);`, nil, "permit[1] forbid[] error[]"},
		{"action in several", `permit (principal, action in [Action::"srv_1", Action::"effect.read"], resource);`, nil, "permit[1] forbid[] error[]"},
		{"action in none", `permit (principal, action in [], resource);`, nil, "permit[] forbid[] error[]"},
		{"eq is not in", `permit (principal == Group::"grp_1", action == Action::"srv_1", resource);`, nil, "permit[] forbid[] error[]"},
		{"is in", `permit (principal is User in Group::"grp_1", action, resource is patient in patient::"P1"); permit (principal is Agent in Group::"grp_1", action, resource);`, nil, "permit[1] forbid[] error[]"},
		{"resource", `permit (principal, action, resource == patient::"P1"); permit (principal, action, resource in patient::"P2");`, nil, "permit[1] forbid[] error[]"},
		{"context and attributes", `permit (principal, action, resource) when { context.link == 0 && context.mission.rooted == "user" && principal.level >= 3 && resource.owner == context.origin };`, nil, "permit[1] forbid[] error[]"},
		{"groups of the origin", `permit (principal, action, resource) when { context.origin in Group::"g2" };`,
			func(r *Request) {
				r.Context["origin"] = Entity{"User", "usr_2"}
				r.Others = []Principal{{Entity: Entity{"User", "usr_2"}, Parents: []Entity{{"Group", "g2"}}}}
			}, "permit[1] forbid[] error[]"},
		{"principal is resource", `permit (principal in Group::"grp_1", action, resource) when { resource.owner == principal && principal.level == 3 };`,
			func(r *Request) { r.Resource = r.Principal.Entity }, "permit[1] forbid[] error[]"},
		{"containsAll", `permit (principal, action, resource) when { context.relations.containsAll(["care_team", "x"]) };`, nil, "permit[] forbid[] error[]"},
		{"no resource: no relation", `permit (principal, action, resource) when { context.relations.contains("care_team") }; permit (principal, action, resource);`,
			func(r *Request) { r.Resource = Entity{} }, "permit[2] forbid[] error[]"},
		{"relations not at hand", care, func(r *Request) { r.Relation = nil }, "permit[] forbid[] error[1!]"},
		{"args", `permit (principal, action, resource) when { context.args.n < 10 && context.args.patient == "P1" };`, nil, "permit[1] forbid[] error[]"},
		{"args missing", `permit (principal, action, resource) when { context.args.q == 1 }; forbid (principal, action, resource) when { context.args.q == 1 };`, nil, "permit[] forbid[2!] error[1!,2!]"},
		{"argument too fine for Cedar", `forbid (principal, action, resource) when { context.args has n && context.args.n > 1000 }; permit (principal, action, resource) when { context.args.patient == "P1" };`,
			func(r *Request) { r.Args["n"] = json.RawMessage(`1000.00001`) }, "permit[2] forbid[1!] error[1!]"},
		{"all arguments", `forbid (principal, action, resource) when { context.args == {} };`,
			func(r *Request) { r.Args["n"] = json.RawMessage(`1000.00001`) }, "permit[] forbid[1!] error[1!]"},
		{"null is absent", `permit (principal, action, resource) when { !(context.args has n) };`, func(r *Request) { r.Args["n"] = json.RawMessage(`null`) }, "permit[1] forbid[] error[]"},
		{"a value Cedar has not", `permit (principal, action, resource);`, func(r *Request) { r.Attributes["x"] = 1.5 }, "permit[] forbid[] error[1!]"},
	})
}

// What depends on a call that is not known yet is Maybe, and only that.
func TestEvaluateUnknown(t *testing.T) {
	runEvaluate(t, []evaluateCase{
		{"33: unknown", `permit (principal, action, resource) when { context.args.n < 10 }; forbid (principal, action, resource) when { context has args };`,
			func(r *Request) { r.Unknown, r.Args = true, nil }, "permit[] forbid[] error[] maybe permit maybe forbid"},
		{"33: unknown, not asked", care, func(r *Request) { r.Unknown, r.Args = true, nil }, "permit[1] forbid[] error[]"},
		{"33: unknown resource of a type", care + `forbid (principal, action, resource is document); permit (principal, action, resource is patient);`,
			func(r *Request) { r.Unknown, r.Args, r.Resource.ID = true, nil, "" }, "permit[3] forbid[] error[] maybe permit"},
		{"33: unknown resource", `forbid (principal, action, resource is document); permit (principal, action, resource == patient::"P2"); permit (principal, action, resource);`,
			func(r *Request) { r.Unknown, r.Args, r.Resource = true, nil, Entity{} }, "permit[3] forbid[] error[] maybe permit maybe forbid"},
		{"33: unknown and shadow", `@shadow forbid (principal, action, resource) when { context.args.n == 1 };`, func(r *Request) { r.Unknown = true }, "permit[] forbid[] error[]"},
		{"33: known certainly no", care, func(r *Request) { r.Unknown, r.ActionParents = true, nil }, "permit[] forbid[] error[]"},
	})
}

// Relations are asked once each, only when a candidate mentions them.
func TestEvaluateAsksLazily(t *testing.T) {
	s := compileText(t, care+care+`
permit (principal, action, resource) when { context.relations.containsAny(["owner", "care_team"]) };
permit (principal is Agent, action, resource) when { context.relations.contains("never") };
@approval forbid (principal, action, resource);`)
	var asked []string
	r := reading()
	r.Relation = func(name string) (bool, error) {
		asked = append(asked, name)
		return name == "owner", nil
	}
	got := s.Evaluate(r)
	if d := cmp.Diff([]string{"care_team", "owner"}, asked); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]bool{"owner": true, "care_team": false}, got.Relations); d != "" {
		t.Error(d)
	}
	want := []Hit{{ID: "5", Handle: "p#5", Forbid: true, Approval: true}}
	if d := cmp.Diff(want, got.Forbids); d != "" {
		t.Error(d)
	}
	names := s.Relations()
	if len(names) != 3 || !slices.Equal(names["care_team"], []string{"p#1", "p#2", "p#3"}) {
		t.Errorf("Relations: %v", names)
	}
}

func TestCompileRefuses(t *testing.T) {
	when := func(c string) []Policy {
		return []Policy{{ID: "pol_1", Handle: "h", Source: "permit (principal, action, resource) when { " + c + " };"}}
	}
	for _, c := range []struct {
		name     string
		policies []Policy
		want     string // "" when it compiles
	}{
		{"plain", when("true"), ""},
		{"context by attribute", when("context.a.b == 1 && context has c && context[\"d\"] == 2"), ""},
		{"relations", when(`context.relations.contains("x") || context["relations"].containsAny(["y"]) || context.relations.containsAll([])`), ""},
		{"relations of something else", when(`principal.relations.contains(action) && context.mission.relations == 1`), ""},
		{"contains of no literal", when(`context.relations.contains(principal.name)`), "context.relations other than"},
		{"containsAny of no literal", when(`context.relations.containsAny(["x", principal.name])`), "context.relations other than"},
		{"containsAny of a set", when(`context.relations.containsAny(principal.names)`), "context.relations other than"},
		{"contained", when(`["x"].containsAll(context.relations)`), "context.relations other than"},
		{"compared", when(`context.relations == []`), "context.relations other than"},
		{"empty", when(`context.relations.isEmpty()`), "context.relations other than"},
		{"has relations", when(`context has relations`), "context.relations other than"},
		{"in a record", when(`{a: context.relations}.a.contains("x")`), "context.relations other than"},
		{"context whole", when(`context == {}`), "context as a whole"},
		{"context in a record", when(`{a: context}.a.relations.contains("x")`), "context as a whole"},
		{"context by if", when(`(if true then context else context).relations.contains("x")`), "context as a whole"},
		{"unless", []Policy{{ID: "pol_1", Handle: "h", Source: `permit (principal, action, resource) unless { context.relations == [] };`}}, "policy h: it uses context.relations"},
		{"two policies", []Policy{{ID: "pol_1", Handle: "h", Source: strings.Repeat("permit (principal, action, resource);", 2)}}, "2 policies"},
		{"no policy", []Policy{{ID: "pol_1", Handle: "h"}}, "0 policies"},
		{"rubbish", []Policy{{ID: "pol_1", Handle: "h", Source: "permit"}}, "policy h: parser error"},
		{"no id", []Policy{{Handle: "h", Source: "permit (principal, action, resource);"}}, "policy h: it has no id"},
		{"id twice", append(when("true"), when("false")...), "used twice"},
		{"wrong annotation", []Policy{{ID: "pol_1", Handle: "h", Source: "@requestable forbid (principal, action, resource);"}}, "@requestable is for a permit"},
	} {
		_, err := Compile(c.policies)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Malformed):
			t.Errorf("%s: %v; want a malformed fault with %q", c.name, err, c.want)
		}
	}
}

func TestDigest(t *testing.T) {
	a := Policy{ID: "a", Handle: "a", Source: "permit (principal, action, resource);"}
	b := Policy{ID: "b", Handle: "b", Source: "forbid (principal, action, resource);"}
	digest := func(list ...Policy) string {
		s, err := Compile(list)
		if err != nil {
			t.Fatal(err)
		}
		return s.Digest()
	}
	shadow := b
	shadow.Shadow = true
	if digest(a, b) != digest(b, a) || digest(a, b) == digest(a) || digest(a, b) == digest(a, shadow) || digest() != (*Set)(nil).Digest() {
		t.Error("the digest is not one of the content")
	}
	s, _ := Compile([]Policy{b, a})
	if d := cmp.Diff([]Policy{a, b}, slices.Collect(s.All())); d != "" {
		t.Error(d)
	}
}

func TestBuiltin(t *testing.T) {
	s, err := Compile(Builtin("grp_admin"))
	if err != nil {
		t.Fatal(err)
	}
	ann, admin := Entity{"User", "usr_1"}, Entity{"Group", "grp_admin"}
	for _, c := range []struct {
		name      string
		principal Principal
		action    string
		resource  Entity
		attribute string // that names ann
		want      string
	}{
		{"administrator", Principal{Entity: ann, Parents: []Entity{admin}}, "apply", Entity{"Organisation", "ten_1"}, "", "ambit:administrators"},
		{"nobody", Principal{Entity: ann}, "apply", Entity{"Organisation", "ten_1"}, "", ""},
		{"ends her mission", Principal{Entity: ann}, "mission.end", Entity{"Mission", "msn_1"}, "origin", "ambit:originator"},
		{"exports her mission", Principal{Entity: ann}, "mission.export", Entity{"Mission", "msn_1"}, "origin", "ambit:originator"},
		{"ends another's", Principal{Entity: ann}, "mission.end", Entity{"Mission", "msn_1"}, "", ""},
		{"the owner may not end", Principal{Entity: ann}, "mission.end", Entity{"Mission", "msn_1"}, "owner", ""},
		{"the owner revokes a mission", Principal{Entity: ann}, "mission.revoke", Entity{"Mission", "msn_1"}, "owner", "ambit:owner"},
		{"the owner revokes an agent", Principal{Entity: ann}, "agent.revoke", Entity{"Agent", "agt_1"}, "owner", "ambit:owner"},
		{"another's agent", Principal{Entity: ann}, "agent.revoke", Entity{"Agent", "agt_1"}, "", ""},
		{"creates no mission", Principal{Entity: ann}, "mission.create", Entity{"Blueprint", "bpr_1"}, "owner", ""},
	} {
		attributes := map[string]any{"owner": Entity{"User", "usr_9"}, "origin": Entity{"User", "usr_9"}}
		if c.attribute != "" {
			attributes[c.attribute] = ann
		}
		got := s.Evaluate(Request{Principal: c.principal, Action: Entity{"Action", c.action}, ActionParents: []Entity{{"Action", "management"}}, Resource: c.resource, Attributes: attributes})
		var by string
		if len(got.Permits) > 0 {
			by = got.Permits[0].Handle
		}
		if by != c.want || len(got.Errors) > 0 {
			t.Errorf("%s: permitted by %q, want %q; errors %v", c.name, by, c.want, got.Errors)
		}
	}
	who := Request{Principal: Principal{Entity: Entity{"Workload", "wkl_1"}}, Action: Entity{"Action", "whoami"}, ActionParents: []Entity{{"Action", "self"}}, Resource: Entity{"Workload", "wkl_1"}}
	if got := s.Evaluate(who); len(got.Permits) != 1 {
		t.Errorf("whoami: %s", said(got))
	}
	for _, p := range Builtin("") {
		if p.Handle == "ambit:administrators" || !p.Builtin || string(p.ID) != p.Handle {
			t.Errorf("%+v", p)
		}
	}
	for _, p := range Builtin("grp_admin") {
		c, err := parseOne("", p.Source)
		if err != nil || string(c.Annotations()["id"]) != p.Handle {
			t.Errorf("%s: %v", p.Handle, err)
		}
	}
}

func TestArgument(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`1`, `1`}, {`1.0`, `1`}, {`1e2`, `100`}, {`-0`, `0`}, {`-5`, `-5`},
		{`9223372036854775807`, `9223372036854775807`}, {`9223372036854775808`, "error"}, {`1e400`, "error"}, {`1e999999999`, "error"},
		{`1.5`, `decimal("1.5")`}, {`-0.5`, `decimal("-0.5")`}, {`0.0001`, `decimal("0.0001")`}, {`0.00001`, "error"}, {`15e-1`, `decimal("1.5")`},
		{`922337203685477.5807`, `decimal("922337203685477.5807")`}, {`922337203685477.5808`, "error"},
		{`"a\"b"`, `"a\"b"`}, {`true`, `true`}, {`null`, "null"}, {`[]`, `[]`}, {`[1,1.0]`, `[1]`}, {`[null]`, "error"}, {`[0.00001]`, "error"},
		{`{"a":null,"b":{"c":false}}`, `{"b":{"c":false}}`}, {`{"a":0.00001}`, "error"}, {`{`, "error"}, {``, "error"},
	} {
		v, err := argument(json.RawMessage(c.json))
		got := "null"
		switch {
		case err != nil:
			got = "error"
		case v != nil:
			got = string(v.MarshalCedar())
		}
		if got != c.want {
			t.Errorf("%s: %s; want %s", c.json, got, c.want)
		}
	}
}
