package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/principal"
)

// whole asks cedar-go about every policy of a set, unsliced, and returns the ids
// that match and the ids that err, by effect.
func whole(policies []Policy, r Request, relations []string) (permits, forbids, errs []string) {
	uid := func(e Entity) cedar.EntityUID {
		return cedar.NewEntityUID(cedar.EntityType(e.Type), cedar.String(e.ID))
	}
	entities := cedar.EntityMap{}
	add := func(e Entity, parents []Entity, attributes cedar.RecordMap) {
		var up []cedar.EntityUID
		for _, p := range parents {
			up = append(up, uid(p))
		}
		entities[uid(e)] = cedar.Entity{UID: uid(e), Parents: cedar.NewEntityUIDSet(up...), Attributes: cedar.NewRecord(attributes)}
	}
	add(r.Resource, nil, nil)
	add(r.Action, r.ActionParents, nil)
	add(r.Principal.Entity, r.Principal.Parents, cedar.RecordMap{"level": cedar.Long(r.Principal.Attributes["level"].(int64))})
	var hold []cedar.Value
	for _, name := range relations {
		hold = append(hold, cedar.String(name))
	}
	args := cedar.RecordMap{}
	for name, raw := range r.Args {
		var n int64
		if json.Unmarshal(raw, &n) != nil {
			panic("args are integers here")
		}
		args[cedar.String(name)] = cedar.Long(n)
	}
	request := cedar.Request{Principal: uid(r.Principal.Entity), Action: uid(r.Action), Resource: uid(r.Resource), Context: cedar.NewRecord(cedar.RecordMap{
		"link": cedar.Long(r.Context["link"].(int64)), "args": cedar.NewRecord(args), "relations": cedar.NewSet(hold...),
	})}
	for _, p := range policies {
		var c cedar.Policy
		if err := c.UnmarshalCedar([]byte(p.Source)); err != nil {
			panic(err)
		}
		_, said := cedar.Authorize(cedar.PolicyMap{cedar.PolicyID(p.ID): &c}, entities, request)
		switch {
		case len(said.Errors) > 0:
			errs = append(errs, string(p.ID))
			if c.Effect() == cedar.Forbid {
				forbids = append(forbids, string(p.ID))
			}
		case len(said.Reasons) > 0 && c.Effect() == cedar.Permit:
			permits = append(permits, string(p.ID))
		case len(said.Reasons) > 0:
			forbids = append(forbids, string(p.ID))
		}
	}
	return permits, forbids, errs
}

func ids(hits []Hit) []string {
	var out []string
	for _, h := range hits {
		out = append(out, string(h.ID))
	}
	return out
}

// drawPolicies draws policies over so few entities that most scopes match
// something, some conditions hold, and some err.
func drawPolicies(t *rapid.T) []Policy {
	from := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	var out []Policy
	for i := range rapid.IntRange(0, 25).Draw(t, "policies") {
		source := fmt.Sprintf("%s (principal%s, action%s, resource%s)",
			from("effect", "permit", "forbid"),
			from("principal", "", ` == User::"u1"`, ` == User::"u2"`, ` in Group::"g1"`, ` in Group::"g2"`, ` in User::"u1"`, ` is User`, ` is Agent`, ` is User in Group::"g1"`, ` is Agent in Group::"g1"`),
			from("action", "", ` == Action::"a1"`, ` == Action::"e1"`, ` in Action::"e1"`, ` in Action::"a1"`, ` in [Action::"e1", Action::"s1"]`, ` in [Action::"a2", Action::"e2"]`, ` in []`),
			from("resource", "", ` == patient::"p1"`, ` in patient::"p1"`, ` == User::"u1"`, ` is patient`, ` is User`, ` is patient in patient::"p1"`, ` is User in patient::"p1"`))
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			source += " " + from("kind", "when", "unless") + " { " + from("condition",
				`context.relations.contains("r1")`, `context.relations.containsAny(["r1", "r2"])`, `context.relations.containsAll(["r1", "r2"])`,
				`context.args.x == 1`, `context.args has y && context.args.y > 1`, `context.link == 0`, `context.nothing == 1`, `context has nothing`,
				`principal.level > 1`, `principal == resource`, `resource has level && resource.level > 1`, `principal in Group::"g2"`, `1`, `true`, `false || true`) + " }"
		}
		out = append(out, Policy{ID: principal.UID(fmt.Sprintf("pol_%02d", i)), Handle: fmt.Sprint(i), Source: source + ";"})
	}
	return out
}

func TestSlicedEqualsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policies := drawPolicies(t)
		relations := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"r1", "r2"}), func(s string) string { return s }).Draw(t, "relations")
		groups := rapid.SliceOfDistinct(rapid.SampledFrom([]Entity{{"Group", "g1"}, {"Group", "g2"}}), func(e Entity) Entity { return e }).Draw(t, "groups")
		r := Request{
			Principal:     Principal{rapid.SampledFrom([]Entity{{"User", "u1"}, {"User", "u2"}, {"Agent", "u1"}}).Draw(t, "principal"), groups, map[string]any{"level": rapid.Int64Range(0, 3).Draw(t, "level")}},
			Action:        rapid.SampledFrom([]Entity{{"Action", "a1"}, {"Action", "a2"}}).Draw(t, "action"),
			ActionParents: []Entity{{"Action", "s1"}, {"Action", rapid.SampledFrom([]string{"e1", "e2"}).Draw(t, "effect")}},
			Resource:      rapid.SampledFrom([]Entity{{"patient", "p1"}, {"patient", "p2"}, {"User", "u1"}, {"User", "u3"}}).Draw(t, "resource"),
			Context:       map[string]any{"link": rapid.Int64Range(0, 1).Draw(t, "link")},
			Args:          map[string]json.RawMessage{},
			Relation:      func(name string) (bool, error) { return slices.Contains(relations, name), nil },
		}
		for _, name := range []string{"x", "y"} {
			if rapid.Bool().Draw(t, name) {
				r.Args[name] = json.RawMessage(fmt.Sprint(rapid.IntRange(0, 2).Draw(t, name+"'s value")))
			}
		}
		s, err := Compile(policies)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Evaluate(r)
		permits, forbids, errs := whole(policies, r, relations)
		if d := cmp.Diff([][]string{permits, forbids, errs}, [][]string{ids(got.Permits), ids(got.Forbids), ids(got.Errors)}); d != "" {
			t.Fatalf("sliced differs from whole (-whole +sliced):\n%s", d)
		}
		// What is certain without the arguments and the resource stays so with them.
		unknown := r
		unknown.Unknown, unknown.Args, unknown.Resource.ID = true, nil, ""
		if rapid.Bool().Draw(t, "type unknown") {
			unknown.Resource.Type = ""
		}
		before := s.Evaluate(unknown)
		for _, p := range permits {
			if !before.MaybePermit && !slices.Contains(ids(before.Permits), p) {
				t.Fatalf("%s permits, but was certainly no permit with the call unknown", p)
			}
		}
		for _, f := range forbids {
			if !before.MaybeForbid && !slices.Contains(ids(before.Forbids), f) {
				t.Fatalf("%s forbids, but was certainly no forbid with the call unknown", f)
			}
		}
		for _, hits := range [][2][]string{{ids(before.Permits), permits}, {ids(before.Forbids), forbids}} {
			for _, id := range hits[0] {
				if !slices.Contains(hits[1], id) {
					t.Fatalf("%s was certain with the call unknown, and does not match with it known", id)
				}
			}
		}
	})
}

// BenchmarkEvaluate: 1,000 and 10,000 policies, of which 8 are candidates (2 of
// them forbids), 4 with a condition.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		var text strings.Builder
		text.WriteString(care)
		text.WriteString(`permit (principal in Group::"grp_1", action, resource) when { context.link == 0 };
permit (principal in Group::"grp_1", action == Action::"srv_1.read", resource is patient);
permit (principal, action == Action::"srv_1.read", resource) when { context.args.patient == "P1" };
permit (principal is User, action in Action::"srv_1", resource);
permit (principal in Group::"grp_1", action in [Action::"effect.read", Action::"effect.write"], resource);
forbid (principal, action, resource) when { context.relations.contains("blocked") };
forbid (principal, action in Action::"effect.read", resource is patient) when { principal.level < 2 };
`)
		for i := 8; i < n; i++ {
			fmt.Fprintf(&text, "permit (principal in Group::\"g%d\", action in Action::\"effect.read\", resource == patient::\"Q%d\");\n", i, i)
		}
		list, err := Parse("bench", text.String())
		if err != nil {
			b.Fatal(err)
		}
		for i := range list {
			list[i].ID = principal.UID(fmt.Sprintf("pol_%05d", i))
		}
		s, err := Compile(list)
		if err != nil {
			b.Fatal(err)
		}
		r := reading()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := s.Evaluate(r); len(got.Permits) != 6 || len(got.Forbids) != 0 {
					b.Fatal(said(got))
				}
			}
		})
	}
	b.Run("no candidate", func(b *testing.B) {
		s := compileText(b, care)
		r := reading()
		r.Action, r.ActionParents = Entity{"Action", "other"}, nil
		b.ReportAllocs()
		for b.Loop() {
			s.Evaluate(r)
		}
	})
}
