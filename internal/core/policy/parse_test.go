package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/fault"
)

func TestParse(t *testing.T) {
	got, err := Parse("access.cedar", `
// The care team reads.
@id("care")
permit (principal, action == Action::"records.read", resource)
when { context.relations.contains("care_team") };

@shadow
forbid (principal, action, resource is patient) /* ; " */ unless { 1 == 1 };
@shadow("false") @approval("review")
forbid (principal in Group::"night", action in [Action::"a", Action::"b"], resource);
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Policy{
		{Handle: "care", Source: "@id(\"care\")\npermit (\n    principal,\n    action == Action::\"records.read\",\n    resource\n)\nwhen { context.relations.contains(\"care_team\") };"},
		{Handle: "access.cedar#2", Shadow: true, Source: "@shadow(\"\")\nforbid (\n    principal,\n    action,\n    resource is patient\n)\nunless { 1 == 1 };"},
		{Handle: "access.cedar#3", Source: "@shadow(\"false\")\n@approval(\"review\")\nforbid (\n    principal in Group::\"night\",\n    action in [Action::\"a\", Action::\"b\"],\n    resource\n);"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if none, err := Parse("empty.cedar", "// nothing\n"); len(none) != 0 || err != nil {
		t.Errorf("a file without policies: %v, %v", none, err)
	}
}

func TestParseRefuses(t *testing.T) {
	when := func(condition string) string {
		return "permit (principal, action, resource) when { " + condition + " };"
	}
	for _, c := range []struct{ name, text, want string }{
		{"syntax", "permit (principal action, resource);", "p.cedar: parser error: parse error at <input>:1:25"},
		{"no end", "permit (principal, action, resource)", "p.cedar: parser error"},
		{"@id twice", `@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);`, `line 1, column 48: @id "a" is in the file twice`},
		{"empty @id", "\n" + `@id permit (principal, action, resource);`, "line 2, column 1: @id"},
		{"builtin @id", `@id("ambit:x") permit (principal, action, resource);`, "Ambit's own"},
		{"@shadow", `@shadow("no") permit (principal, action, resource);`, "@shadow"},
		{"@approval of a permit", `@approval permit (principal, action, resource);`, "@approval is for a forbid"},
		{"@requestable of a forbid", `@requestable forbid (principal, action, resource);`, "@requestable is for a permit"},
		{"brackets", when(strings.Repeat("(", 1e5)), "nest deeper"},
		{"brackets behind a block comment", when(`/* " */` + strings.Repeat("[", 1e5)), "nest deeper"},
		{"ifs", when(strings.Repeat("if ", 1e5)), "nest deeper"},
		{"signs", when(strings.Repeat("! ", 1e5)), "nest deeper"},
		{"chain", when("true" + strings.Repeat(" && true", 1e5)), "operators"},
		{"attributes", when("context" + strings.Repeat(".a", 1e5)), "operators"},
		{"difference", when("1" + strings.Repeat("- 1", 1e5)), "operators"},
		{"long", "permit (principal, action in [" + strings.Repeat(`Action::"a", `, 1e4) + `Action::"b"], resource);`, "longer than"},
	} {
		_, err := Parse("p.cedar", c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %.300v; want a malformed fault with %q", c.name, err, c.want)
		}
	}
	if _, err := Parse("p.cedar", strings.Repeat(" ", maxText+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
	fine := strings.Repeat("// a \"comment( \n", 5000) + when(strings.Repeat(`"(\"(((" == "((([" && !(true) && `, 40)+"true")
	if _, err := Parse("p.cedar", fine); err != nil {
		t.Errorf("long comments and brackets in strings: %v", err)
	}
}

func TestResolve(t *testing.T) {
	ids := map[string]string{
		`User ann`: "usr_1", `Group night`: "grp_1", `Agent bot`: "agt_1", `Blueprint reader`: "bpr_1",
		`Workload feed`: "wkl_1", `Action records.read`: "srv_1.read", `Action records`: "srv_1",
		`Action mission.create`: "mission.create",
	}
	f := func(typ, id string) (string, error) {
		if uid, ok := ids[typ+" "+id]; ok {
			return uid, nil
		}
		return "", fault.New(fault.NotFound, "there is no %s %q", strings.ToLower(typ), id)
	}
	got, err := Resolve(`permit (principal is Agent in Blueprint::"reader", action in [Action::"records.read", Action::"records", Action::"mission.create"], resource == patient::"ann")
when { principal in [Group::"night", Agent::"bot"] && context.origin == User::"ann" && {type: "User", id: "ann", __entity: Workload::"feed"} == context.x
  && patient::"User" != resource && context.n < 9007199254740993 && "User::\"ann\"" like "*\*" && ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) }
unless { principal is User in Group::"night" };`, f)
	if err != nil {
		t.Fatal(err)
	}
	want := `permit (
    principal is Agent in Blueprint::"bpr_1",
    action in [Action::"srv_1.read", Action::"srv_1", Action::"mission.create"],
    resource == patient::"ann"
)
when { principal in [Group::"grp_1", Agent::"agt_1"] && context.origin == User::"usr_1" && {"type":"User", "id":"ann", "__entity":Workload::"wkl_1"} == context.x && patient::"User" != resource && context.n < 9007199254740993 && "User::\"ann\"" like "*\*" && ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) }
unless { principal is User in Group::"grp_1" };`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again, err := Resolve(got, func(_, id string) (string, error) { return id, nil }); again != got || err != nil {
		t.Errorf("resolving a canonical text changed it: %v\n%s", err, again)
	}
	for _, source := range []string{
		`permit (principal == User::"eve", action, resource);`,
		`permit (principal, action, resource) when { {a: [User::"eve"]}.a.contains(principal) };`,
		`permit (principal, action in [Action::"records.read", Action::"eve"], resource);`,
		`permit (principal is User in Group::"eve", action, resource);`,
	} {
		if _, err := Resolve(source, f); err == nil || !strings.Contains(err.Error(), `::"eve": there is no`) {
			t.Errorf("%s: %v; want the unknown name", source, err)
		}
	}
	for _, source := range []string{"", "permit (principal, action, resource); permit (principal, action, resource);", "permit"} {
		if _, err := Resolve(source, f); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%q: %v; want a malformed fault", source, err)
		}
	}
	plain := errors.New("secret detail")
	if _, err := Resolve(`permit (principal == User::"ann", action, resource);`, func(string, string) (string, error) { return "", plain }); !errors.Is(err, plain) {
		t.Errorf("the resolver's error is lost: %v", err)
	} else if message, _ := fault.Safe(err); strings.Contains(message, "secret") {
		t.Errorf("an unclassified error is shown: %s", message)
	}
}

// FuzzPolicy: no text panics or hangs; what parses is one policy each, canonical,
// and means the same when it is resolved to itself.
func FuzzPolicy(f *testing.F) {
	f.Add(`@id("a") permit (principal, action == Action::"records.read", resource) when { context.relations.containsAny(["x"]) };`)
	f.Add(`forbid (principal is User in Group::"g", action in [Action::"a"], resource is patient) unless { context.args.n > decimal("1.5") || "a*" like "\*" };`)
	f.Add(`permit (principal, action, resource) when { if principal has a.b then -1 < [1, {a: 2}].length else !!true };`)
	for _, p := range Builtin("grp_1") {
		f.Add(p.Source)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse("f.cedar", text)
		if err != nil {
			return
		}
		for _, p := range list {
			again, err := Parse("f.cedar", p.Source)
			if err != nil || len(again) != 1 || again[0].Source != p.Source {
				t.Fatalf("%q is not canonical: %v", p.Source, err)
			}
			resolved, err := Resolve(p.Source, func(_, id string) (string, error) { return id, nil })
			if err == nil {
				a, _ := parseOne("", p.Source)
				b, _ := parseOne("", resolved)
				if a.Effect() != b.Effect() || len(a.Annotations()) != len(b.Annotations()) {
					t.Fatalf("resolving changed %q to %q", p.Source, resolved)
				}
			}
			p.ID = "pol_1"
			set, err := Compile([]Policy{p})
			if err != nil {
				continue
			}
			set.Evaluate(Request{Principal: Principal{Entity: Entity{"User", "u"}}, Action: Entity{"Action", "a"}, Resource: Entity{"patient", "p"}})
		}
	})
}
