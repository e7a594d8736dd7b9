package relation

import (
	"strings"
	"testing"

	"github.com/ambit-iam/ambit/internal/fault"
)

func TestModelValidate(t *testing.T) {
	model := func(typ, name string, w Rewrite) Model {
		return Model{Types: map[string]map[string]Rewrite{
			"user": {}, "group": {"member": direct("user")}, "folder": {"viewer": direct("user")},
			typ: {"parent": direct("folder"), "mixed": direct("folder", "group#member"), name: w},
		}}
	}
	for _, c := range []struct {
		name string
		m    Model
		want string // "" when valid
	}{
		{"empty", Model{}, ""},
		{"clinic", clinic(), ""},
		{"no member", model("doc", "x", Rewrite{}), "exactly one of"},
		{"two members", model("doc", "x", Rewrite{Computed: "parent", Direct: []Allowed{{Type: "user"}}}), "exactly one of"},
		{"undefined type", model("doc", "x", direct("robot")), "type robot, which is not defined"},
		{"undefined userset", model("doc", "x", direct("group#owner")), "group#owner, which is not defined"},
		{"wildcard with relation", model("doc", "x", Rewrite{Direct: []Allowed{{"group", "member", true}}}), "both as a wildcard"},
		{"undefined computed", model("doc", "x", computed("y")), "does not define"},
		{"undefined tupleset", model("doc", "x", from("viewer", "up")), "follows up, which type doc does not define"},
		{"computed tupleset", model("doc", "x", from("viewer", "x")), "not directly assigned"},
		{"userset tupleset", model("doc", "x", from("viewer", "mixed")), "more than plain objects"},
		{"nowhere defined", model("doc", "x", from("editor", "parent")), "no type that parent allows"},
		{"itself", model("doc", "x", computed("x")), "can never hold"},
		{"in a union", model("doc", "x", union(direct("user"), computed("y"))), "does not define"},
		{"type name", Model{Types: map[string]map[string]Rewrite{"a b": {}}}, "not a type name"},
		{"relation name", model("doc", "a#b", direct("user")), "not a relation name"},
	} {
		err := c.m.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Malformed):
			t.Errorf("%s: %v; want a malformed fault with %q", c.name, err, c.want)
		}
		c.m.rules() // total on every model
	}
}

func TestValidateTuple(t *testing.T) {
	m := clinic()
	m.Types["agent"] = map[string]Rewrite{"owner": direct("user")}
	g := Graph{}.WithModel(m)
	for _, c := range []struct{ tuple, want string }{
		{"document:1#owner@user:ann", ""},
		{"document:1#owner@agent:agt_1", ""},
		{"document:a:b/c@d#viewer@group:g#member", ""},
		{"document:1#viewer@user:*", ""},
		{"agent:agt_1#owner@user:ann", "Ambit's own"},
		{"mission:m#owner@user:ann", "Ambit's own"},
		{"document:1#owner@user:*", "may be assigned to user, agent only"},
		{"document:1#viewer@document:2", "may be assigned to user, user:*, group#member only"},
		{"document:1#viewer@group:g", "may be assigned to"},
		{"document:1#view@user:ann", "computed and cannot be assigned"},
		{"document:1#edit@user:ann", "has no relation edit"},
		{"paper:1#view@user:ann", "defines no type paper"},
		{"document#owner@user:ann", "not type:id"},
		{"document:#owner@user:ann", "not type:id"},
		{"document:*#owner@user:ann", "everybody"},
		{"document:1#owner@user:*#x", "everybody"},
		{"document:1#@user:ann", "not a name"},
		{"document:1#owner@", "not type:id"},
		{"document:1#owner@user:a b", "no space"},
		{"document:1#owner@group:g#", "not a relation name"},
		{"document:" + strings.Repeat("x", 300) + "#owner@user:ann", "the bound is 256"},
	} {
		err := g.Validate(tuple(c.tuple))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.tuple, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Malformed):
			t.Errorf("%s: %v; want a malformed fault with %q", c.tuple, err, c.want)
		}
	}
	for _, typ := range []string{"agent", "mission", "hop", "grant", "ambit"} {
		if !Reserved(typ) {
			t.Errorf("%s is not reserved", typ)
		}
	}
	if Reserved("document") || Reserved("group") {
		t.Error("an ordinary type is reserved")
	}
}

func TestParseTuple(t *testing.T) {
	got, err := ParseTuple("document:a:b@c#viewer@group:g@h#member")
	if err != nil || got != (Tuple{"document:a:b@c", "viewer", "group:g@h#member"}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "document:1", "document:1#viewer", "document:1#viewer@", "#viewer@user:a", "document:1@user:a#viewer"} {
		if _, err := ParseTuple(s); fault.KindOf(err) != fault.Malformed {
			t.Errorf("%q: %v; want a malformed fault", s, err)
		}
	}
}

// FuzzTuple: what Validate accepts has one spelling.
func FuzzTuple(f *testing.F) {
	f.Add("document:1", "owner", "user:ann")
	f.Add("document:1#x", "own@er", "group:g#member")
	g := Graph{}.WithModel(clinic())
	f.Fuzz(func(t *testing.T, object, relation, subject string) {
		tp := Tuple{object, relation, subject}
		if again, err := ParseTuple(tp.String()); g.Validate(tp) == nil && (err != nil || again != tp) {
			t.Errorf("%q parses as another tuple: %v", tp, err)
		}
		if _, err := g.With(tp).Check(object, relation, subject); err != nil && fault.KindOf(err) != fault.Malformed {
			t.Error(err)
		}
	})
}
