package relation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/fault"
)

// direct returns type restrictions from their spelling.
func direct(allowed ...string) Rewrite {
	var r Rewrite
	for _, a := range allowed {
		typ, rel, _ := strings.Cut(a, "#")
		typ, wild := strings.CutSuffix(typ, ":*")
		r.Direct = append(r.Direct, Allowed{Type: typ, Relation: rel, Wildcard: wild})
	}
	return r
}

func computed(name string) Rewrite { return Rewrite{Computed: name} }
func from(rel, tupleset string) Rewrite {
	return Rewrite{From: &From{Relation: rel, Tupleset: tupleset}}
}
func union(of ...Rewrite) Rewrite { return Rewrite{Union: of} }

func tuple(s string) Tuple {
	object, rest, _ := strings.Cut(s, "#")
	relation, subject, _ := strings.Cut(rest, "@")
	return Tuple{object, relation, subject}
}

func tuples(s ...string) []Tuple {
	var out []Tuple
	for _, t := range s {
		out = append(out, tuple(t))
	}
	return out
}

// clinic is the model that the tables share.
func clinic() Model {
	return Model{Types: map[string]map[string]Rewrite{
		"user":   {},
		"agent":  {},
		"group":  {"member": direct("user", "group#member")},
		"folder": {"parent": direct("folder"), "viewer": union(direct("user", "group#member"), from("viewer", "parent"))},
		"document": {
			"parent": direct("folder"),
			"owner":  direct("user", "agent"),
			"viewer": direct("user", "user:*", "group#member"),
			"view":   union(computed("viewer"), computed("owner"), from("viewer", "parent")),
		},
	}}
}

func TestCheck(t *testing.T) {
	g := New(clinic(), tuples(
		"document:1#owner@user:ann",
		"document:1#owner@agent:bot",
		"document:1#viewer@group:staff#member",
		"document:1#parent@folder:b",
		"document:2#viewer@user:*",
		"folder:b#parent@folder:a",
		"folder:a#parent@folder:b", // a cycle
		"folder:a#viewer@user:cy",
		"group:staff#member@group:night#member",
		"group:night#member@group:staff#member", // a cycle
		"group:night#member@user:bob",
		"document:3#owner@user:*",             // not allowed by the model
		"document:3#owner@group:staff#member", // not allowed by the model
		"document:3#parent@folder:b#viewer",   // a tupleset follows plain objects only
	))
	for _, c := range []struct {
		object, relation, subject string
		witness                   []string // nil: does not hold
	}{
		{"document:1", "view", "user:ann", []string{"document:1#owner@user:ann"}},
		{"document:1", "owner", "agent:bot", []string{"document:1#owner@agent:bot"}},
		{"document:1", "viewer", "user:ann", nil},
		{"document:1", "view", "user:bob", []string{"document:1#viewer@group:staff#member", "group:staff#member@group:night#member", "group:night#member@user:bob"}},
		{"document:1", "view", "user:cy", []string{"document:1#parent@folder:b", "folder:b#parent@folder:a", "folder:a#viewer@user:cy"}},
		{"document:1", "view", "user:dan", nil},
		{"document:2", "view", "user:dan", []string{"document:2#viewer@user:*"}},
		{"document:2", "view", "user:*", []string{"document:2#viewer@user:*"}},
		{"document:2", "view", "agent:bot", nil},
		{"document:1", "view", "user:*", nil},
		{"document:1", "view", "group:night#member", []string{"document:1#viewer@group:staff#member", "group:staff#member@group:night#member"}},
		{"group:night", "member", "group:night#member", []string{}},
		{"document:1", "view", "document:1#owner", []string{}},
		{"document:3", "view", "user:dan", nil},
		{"document:3", "view", "user:bob", nil},
		{"document:3", "view", "user:cy", nil},
		{"document:1", "no_such", "user:ann", nil},
		{"nothing:1", "view", "user:ann", nil},
		{"document", "view", "user:ann", nil},
		{"", "view", "user:ann", nil},
	} {
		got, err := g.Check(c.object, c.relation, c.subject)
		if err != nil {
			t.Errorf("Check(%s, %s, %s): %v", c.object, c.relation, c.subject, err)
			continue
		}
		if got.Holds != (c.witness != nil) || len(got.Witness) != len(c.witness) || got.Holds && !slices.Equal(got.Witness, tuples(c.witness...)) {
			t.Errorf("Check(%s, %s, %s) = %v; want witness %v", c.object, c.relation, c.subject, got, c.witness)
		}
	}
	for _, subject := range []string{"", "user", ":x"} {
		if _, err := g.Check("document:1", "view", subject); fault.KindOf(err) != fault.Malformed {
			t.Errorf("Check of subject %q: %v; want a malformed fault", subject, err)
		}
	}
	if got, err := (Graph{}).Check("document:1", "view", "user:ann"); got.Holds || err != nil {
		t.Errorf("zero Graph: %v, %v; want that nothing holds", got, err)
	}
}

// A search that is cut short is an error when nothing was found, and a witness
// that is found within the bounds stands.
func TestCheckBounds(t *testing.T) {
	chain := func(n int) []Tuple {
		var ts []Tuple
		for i := range n {
			ts = append(ts, tuple(fmt.Sprintf("group:%03d#member@group:%03d#member", i, i+1)))
		}
		return append(ts, tuple(fmt.Sprintf("group:%03d#member@user:ann", n)))
	}
	var wide []Tuple
	for i := range MaxSteps {
		wide = append(wide, Tuple{"group:wide", "member", fmt.Sprintf("group:%05d#member", i)})
	}
	for _, c := range []struct {
		name      string
		tuples    []Tuple
		object    string
		subject   string
		holds     bool
		truncated bool
	}{
		{"as deep as allowed", chain(MaxDepth - 1), "group:000", "user:ann", true, false},
		{"as deep as allowed, no", chain(MaxDepth - 1), "group:000", "user:bob", false, false},
		{"one deeper", chain(MaxDepth), "group:000", "user:ann", false, true},
		{"too wide", wide, "group:wide", "user:ann", false, true},
		{"too wide, found first", append(tuples("group:wide#member@user:ann"), wide...), "group:wide", "user:ann", true, false},
		{"2,000 parents", wide[:2000], "group:wide", "user:ann", false, false},
	} {
		got, err := New(clinic(), c.tuples).Check(c.object, "member", c.subject)
		if got.Holds != c.holds || (err != nil) != c.truncated {
			t.Errorf("%s: %v, %v", c.name, got.Holds, err)
		}
		if c.truncated && (!errors.Is(err, ErrTruncated) || fault.KindOf(err) != fault.Exhausted) {
			t.Errorf("%s: %v; want ErrTruncated under Exhausted", c.name, err)
		}
	}
}

// obvious computes every relation that holds, by applying the model's rules to
// the tuples until nothing new follows. It shares nothing with Check.
func obvious(m Model, ts []Tuple) map[Tuple]bool {
	holds := map[Tuple]bool{}
	objects, subjects := map[string]bool{}, map[string]bool{}
	for _, t := range ts {
		objects[t.Object], subjects[t.Subject] = true, true
		if o, _, set := strings.Cut(t.Subject, "#"); set || !strings.HasSuffix(t.Subject, ":*") {
			objects[o] = true
		}
	}
	for o := range objects {
		subjects[o] = true
	}
	var follows func(object, relation string, w Rewrite, subject string) bool
	follows = func(object, relation string, w Rewrite, subject string) bool {
		for _, u := range w.Union {
			if follows(object, relation, u, subject) {
				return true
			}
		}
		if w.Computed != "" {
			return holds[Tuple{object, w.Computed, subject}]
		}
		for _, t := range ts {
			to, rel, isSet := strings.Cut(t.Subject, "#")
			typ, id, _ := strings.Cut(to, ":")
			if w.From != nil && t.Object == object && t.Relation == w.From.Tupleset && !isSet && id != "*" &&
				slices.Contains(m.Types[typeOf(object)][w.From.Tupleset].Direct, Allowed{Type: typ}) && holds[Tuple{to, w.From.Relation, subject}] {
				return true
			}
			if t.Object != object || t.Relation != relation || !slices.Contains(w.Direct, Allowed{typ, rel, id == "*"}) {
				continue
			}
			everybody := id == "*" && !strings.Contains(subject, "#") && typeOf(subject) == typ
			if t.Subject == subject || everybody || isSet && holds[Tuple{to, rel, subject}] {
				return true
			}
		}
		return false
	}
	for changed := true; changed; {
		changed = false
		for o := range objects {
			for relation, w := range m.Types[typeOf(o)] {
				for s := range subjects {
					t := Tuple{o, relation, s}
					if !holds[t] && (s == o+"#"+relation || follows(o, relation, w, s)) {
						holds[t], changed = true, true
					}
				}
			}
		}
	}
	return holds
}

// drawModel draws small models: two types besides user, three relations each.
func drawModel(t *rapid.T) Model {
	types, names := []string{"user", "a", "b"}, []string{"p", "q", "r"}
	m := Model{Types: map[string]map[string]Rewrite{"user": {}, "a": {}, "b": {}}}
	oneDirect := rapid.Custom(func(t *rapid.T) Allowed {
		a := Allowed{Type: rapid.SampledFrom(types).Draw(t, "type")}
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			a.Wildcard = true
		case 1:
			if a.Type != "user" {
				a.Relation = rapid.SampledFrom(names).Draw(t, "relation")
			}
		}
		return a
	})
	leaf := func(t *rapid.T) Rewrite {
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return computed(rapid.SampledFrom(names).Draw(t, "computed"))
		case 1:
			return from(rapid.SampledFrom(names).Draw(t, "from"), rapid.SampledFrom(names).Draw(t, "tupleset"))
		}
		return Rewrite{Direct: rapid.SliceOfNDistinct(oneDirect, 1, 3, func(a Allowed) Allowed { return a }).Draw(t, "direct")}
	}
	for _, typ := range types[1:] {
		for _, name := range names {
			w := leaf(t)
			if rapid.Bool().Draw(t, "union") {
				w = union(w, leaf(t))
			}
			m.Types[typ][name] = w
		}
	}
	return m
}

func TestCheckEqualsObvious(t *testing.T) {
	objects := []string{"a:1", "a:2", "b:1", "b:2"}
	relations := []string{"p", "q", "r"}
	subjects := []string{"user:x", "user:y", "user:*", "a:*", "a:1", "a:2", "b:1", "b:2", "a:1#p", "a:2#q", "b:1#r", "b:2#p"}
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		ts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Tuple {
			return Tuple{rapid.SampledFrom(objects).Draw(t, "object"), rapid.SampledFrom(relations).Draw(t, "relation"), rapid.SampledFrom(subjects).Draw(t, "subject")}
		}), 0, 12).Draw(t, "tuples")
		// The obvious evaluator knows only subjects that occur: name them all.
		want := obvious(m, append(slices.Clone(ts), tuples("none:1#none@user:x", "none:1#none@user:y", "none:1#none@a:2", "none:1#none@a:1#p", "none:1#none@b:2#p")...))
		g := New(m, ts)
		for _, o := range objects {
			for _, r := range relations {
				for _, s := range []string{"user:x", "user:y", "a:1#p", "b:2#p", "a:2"} {
					got, err := g.Check(o, r, s)
					if err != nil {
						t.Fatal(err)
					}
					if got.Holds != want[Tuple{o, r, s}] {
						t.Fatalf("Check(%s, %s, %s) = %v; the obvious evaluator says %v", o, r, s, got.Holds, want[Tuple{o, r, s}])
					}
					for _, w := range got.Witness {
						if !slices.Contains(ts, w) {
							t.Fatalf("witness %s is no tuple", w)
						}
					}
				}
			}
		}
	})
}

// With and Without agree with a graph that is built anew, and never change the
// graph that they start from.
func TestGraphEqualsRebuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Graph{}.WithModel(clinic())
		have := map[Tuple]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			tp := Tuple{fmt.Sprintf("group:%d", rapid.IntRange(0, 2).Draw(t, "o")), "member", fmt.Sprintf("user:%d", rapid.IntRange(0, 30).Draw(t, "s"))}
			before, n := g, g.Len()
			if rapid.IntRange(0, 2).Draw(t, "op") > 0 {
				g = g.With(tp)
				have[tp] = true
			} else {
				g = g.Without(tp)
				delete(have, tp)
			}
			if before.Len() != n || g.Len() != len(have) || g.Has(tp) != have[tp] {
				t.Fatalf("after %s: %d tuples, want %d", tp, g.Len(), len(have))
			}
		}
		got := slices.SortedFunc(g.All(), func(a, b Tuple) int { return strings.Compare(a.String(), b.String()) })
		var all []Tuple
		for tp := range have {
			all = append(all, tp)
		}
		rebuilt := New(clinic(), all)
		want := slices.SortedFunc(rebuilt.All(), func(a, b Tuple) int { return strings.Compare(a.String(), b.String()) })
		if d := cmp.Diff(want, got); d != "" || rebuilt.Len() != g.Len() {
			t.Fatal(d)
		}
	})
}

// Sets larger than a run split and join correctly.
func TestSetLarge(t *testing.T) {
	var s set
	var ok bool
	for i := range 3000 {
		if s, ok = s.with(fmt.Sprintf("user:%04d", i*7%3000)); !ok {
			t.Fatalf("%d was there before", i)
		}
	}
	if got := len(slices.Collect(s.prefixed("user:"))); got != 3000 || !slices.IsSorted(slices.Collect(s.prefixed("user:"))) {
		t.Fatalf("%d members, sorted %v", got, slices.IsSorted(slices.Collect(s.prefixed("user:"))))
	}
	if got := slices.Collect(s.prefixed("user:255")); len(got) != 10 || got[0] != "user:2550" {
		t.Errorf("prefix 255: %v", got)
	}
	for i := range 3000 {
		if s, ok = s.without(fmt.Sprintf("user:%04d", i)); !ok {
			t.Fatalf("%d was not there", i)
		}
	}
	if len(s) != 0 {
		t.Errorf("%d runs left of an empty set", len(s))
	}
}

func BenchmarkCheck(b *testing.B) {
	var ts []Tuple
	for i := range 100_000 {
		ts = append(ts,
			Tuple{fmt.Sprintf("document:%d", i), "parent", fmt.Sprintf("folder:%d", i%1000)},
			Tuple{fmt.Sprintf("group:%d", i%2000), "member", fmt.Sprintf("user:%d", i)})
	}
	for i := range 1000 {
		ts = append(ts, Tuple{fmt.Sprintf("folder:%d", i), "viewer", fmt.Sprintf("group:%d#member", i)})
	}
	g := New(clinic(), ts)
	b.Run("holds", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if r, err := g.Check(fmt.Sprintf("document:%d", i%1000), "view", fmt.Sprintf("user:%d", i%1000)); err != nil || !r.Holds {
				b.Fatal(r, err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			g.With(Tuple{fmt.Sprintf("document:%d", i), "viewer", "user:new"})
		}
	})
}
