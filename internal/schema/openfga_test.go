package schema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
)

const clinic = `model
  schema 1.1

type user
# principals of the directory
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type patient
  relations
    define chart: [folder]
    define care_team: [user, user:*, group#member] # by uid
    define reads: care_team or (viewer from chart or care_team)
`

func TestParseOpenFGA(t *testing.T) {
	got, err := ParseOpenFGA(clinic)
	if err != nil {
		t.Fatal(err)
	}
	userOrMember := []relation.Allowed{{Type: "user"}, {Type: "group", Relation: "member"}}
	viewer := relation.Rewrite{From: &relation.From{Relation: "viewer", Tupleset: "chart"}}
	team := relation.Rewrite{Computed: "care_team"}
	want := relation.Model{Source: clinic, Types: map[string]map[string]relation.Rewrite{
		"user":  {},
		"group": {"member": {Direct: userOrMember}},
		"folder": {
			"parent": {Direct: []relation.Allowed{{Type: "folder"}}},
			"viewer": {Union: []relation.Rewrite{{Direct: userOrMember}, {From: &relation.From{Relation: "viewer", Tupleset: "parent"}}}},
		},
		"patient": {
			"chart":     {Direct: []relation.Allowed{{Type: "folder"}}},
			"care_team": {Direct: []relation.Allowed{{Type: "user"}, {Type: "user", Wildcard: true}, {Type: "group", Relation: "member"}}},
			"reads":     {Union: []relation.Rewrite{team, {Union: []relation.Rewrite{viewer, team}}}},
		},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseOpenFGARefuses(t *testing.T) {
	const head = "model\n  schema 1.1\ntype user\n"
	doc := func(lines string) string { return head + "type doc\n  relations\n" + lines }
	for _, c := range []struct{ name, dsl, want string }{
		{"empty", "", "line 1, column 1"},
		{"no model", "type user\n", "line 1, column 1"},
		{"old schema", "model\n  schema 1.0\ntype user\n", "schema"},
		{"module", "module m\ntype user\n", "want a model with schema 1.1"},
		{"missing colon", doc("    define a [user]\n"), "line 6, column "},
		{"unfinished", doc("    define a:\n"), "line 6"},
		{"mixed operators", doc("    define a: [user]\n    define b: a or a and a\n"), "line 7"},
		{"intersection", doc("    define a: [user]\n    define b: [user] and a\n"), "line 7, column 12: relation b of type doc: intersection (and) is not supported by this version"},
		{"nested intersection", doc("    define a: [user]\n    define b: [user] or (a and a)\n"), "line 7, column 12"},
		{"exclusion", doc("    define a: [user]\n    define b: a but not a\n"), "exclusion (but not) is not supported by this version"},
		{"condition on a type", doc("    define a: [user with c]\n") + "condition c(x: int) {\n  x < 1\n}\n", "not supported by this version"},
		{"condition", head + "condition c(x: int) {\n  x < 1\n}\n", "line 4, column 11: condition c"},
		{"undefined relation", doc("    define a: b\n"), "line 6, column 12: relation a of type doc is computed from b"},
		{"undefined type", doc("    define a: [robot]\n"), "line 6, column 12: relation a of type doc allows type robot"},
		{"type twice", head + "type user\n", "line 3, column 6: type user is defined twice"},
		{"relation twice", doc("    define a: [user]\n    define a: [user]\n"), "line 7"},
		{"second type's relation", head + "type x\n  relations\n    define a: [user]\ntype y\n  relations\n    define a: c\n", "line 9, column 12: relation a of type y"},
		{"deep", doc("    define a: " + strings.Repeat("(", 100) + "[user]" + strings.Repeat(")", 100)), "nest deeper"},
	} {
		got, err := ParseOpenFGA(c.dsl)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Malformed || got.Types != nil {
			t.Errorf("%s: %v; want a malformed fault with %q", c.name, err, c.want)
		}
	}
	if _, err := ParseOpenFGA(strings.Repeat("#", maxSize+1)); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
}

// FuzzParseOpenFGA: no text panics, and what parses is a valid model.
func FuzzParseOpenFGA(f *testing.F) {
	f.Add(clinic)
	f.Add("model\n  schema 1.1\ntype user\ntype a\n  relations\n    define b: [user, a#b] or b from b\n")
	f.Add("module x\nextend type y\n  relations\n    define z: [user]\n")
	f.Add("model\n  schema 1.1\ncondition c(x: map<string>) {\n  x\n}\n")
	f.Fuzz(func(t *testing.T, dsl string) {
		m, err := ParseOpenFGA(dsl)
		if err == nil && (m.Validate() != nil || m.Source != dsl) {
			t.Errorf("%q is accepted as an invalid model", dsl)
		}
	})
}
