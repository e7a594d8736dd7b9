package authority

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestConstraintLaws holds the lattice's laws against generated constraints of
// every kind and a spread of values.
func TestConstraintLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := constraints(true, 2).Draw(t, "a")
		b := constraints(true, 2).Draw(t, "b")
		c := constraints(true, 2).Draw(t, "c")
		ab, ba := a.Meet(&b), b.Meet(&a)
		if err := ab.Validate(); err != nil {
			t.Fatalf("meet is malformed: %v", err)
		}
		if !a.Subset(&a) {
			t.Fatalf("%v is not inside itself", a)
		}
		if !ab.Subset(&a) || !ab.Subset(&b) {
			t.Fatalf("meet %v is not inside both %v and %v", ab, a, b)
		}
		if !ab.Subset(&ba) || !ba.Subset(&ab) {
			t.Fatalf("meet does not commute: %v and %v", ab, ba)
		}
		bc := b.Meet(&c)
		left, right := ab.Meet(&c), a.Meet(&bc)
		if !left.Subset(&right) || !right.Subset(&left) {
			t.Fatalf("meet is not associative: %v and %v", left, right)
		}
		if again := ab.Meet(&ab); !again.Subset(&ab) || !ab.Subset(&again) {
			t.Fatalf("meet is not idempotent: %v and %v", ab, again)
		}
		if a.Subset(&b) && b.Subset(&c) && !a.Subset(&c) {
			t.Fatalf("subset is not transitive: %v, %v, %v", a, b, c)
		}
		within := a.Subset(&b)
		for _, v := range append(samples(), json.RawMessage(values().Draw(t, "v"))) {
			ma, mb := a.Match(v), b.Match(v)
			if ab.Match(v) != (ma && mb) {
				t.Fatalf("%s: meet %v says %v; %v says %v, %v says %v", v, ab, ab.Match(v), a, ma, b, mb)
			}
			if within && ma && !mb {
				t.Fatalf("%v claims to be inside %v, but not for %s", a, b, v)
			}
			if ma && a.normal().never {
				t.Fatalf("%v claims to be empty and matches %s", a, v)
			}
		}
	})
}

// TestSetLaws does the same for items and sets.
func TestSetLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := sets().Draw(t, "a"), sets().Draw(t, "b"), sets().Draw(t, "c")
		ab, ba := Meet(a, b), Meet(b, a)
		if err := ab.Validate(); err != nil {
			t.Fatalf("meet is malformed: %v", err)
		}
		inside := func(what string, x, y Set) {
			t.Helper()
			if ok, at := x.Subset(y); !ok {
				t.Fatalf("%s: item %d of %v is not inside %v", what, at, x, y)
			}
		}
		inside("reflexive", a, a)
		inside("meet in left", ab, a)
		inside("meet in right", ab, b)
		inside("commutes", ab, ba)
		inside("commutes", ba, ab)
		if x, _ := a.Subset(b); x {
			if y, _ := b.Subset(c); y {
				inside("transitive", a, c)
			}
			inside("meet with a superset loses nothing", a, ab)
		}
		within, _ := a.Subset(b)
		asks := []Request{requests().Draw(t, "r")}
		for _, s := range []Set{a, b} {
			for _, it := range s {
				asks = append(asks, calls(it)...)
			}
		}
		abc, abc2 := Meet(ab, c), Meet(a, Meet(b, c))
		for _, r := range asks {
			ma, mb, mc := a.Match(r) == Yes, b.Match(r) == Yes, c.Match(r) == Yes
			if (ab.Match(r) == Yes) != (ma && mb) {
				t.Fatalf("%v: meet %v says %v; %v says %v, %v says %v", r, ab, ab.Match(r), a, ma, b, mb)
			}
			if within && ma && !mb {
				t.Fatalf("%v claims to be inside %v, but not for %v", a, b, r)
			}
			if got := abc.Match(r) == Yes; got != (ma && mb && mc) || got != (abc2.Match(r) == Yes) {
				t.Fatalf("meet is not associative for %v", r)
			}
			unknown := Request{Type: r.Type, Server: r.Server, Action: r.Action, Unknown: true}
			if got := a.Match(unknown); ma && got == No || !ma && got == Yes {
				t.Fatalf("unknown arguments: %v, but %v for %v in %v", got, ma, r, a)
			}
		}
	})
}

// TestRoundTrip: what is written down is read as the same, also after Meet, and
// in a fixed point of bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Meet(sets().Draw(t, "a"), sets().Draw(t, "b"))
		one, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(one)
		if err != nil {
			t.Fatalf("%s: %v", one, err)
		}
		two, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		back2, err := Parse(two)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(back, back2); diff != "" {
			t.Fatal(diff)
		}
		for _, pair := range [][2]Set{{s, back}, {back, s}} {
			if ok, at := pair[0].Subset(pair[1]); !ok {
				t.Fatalf("item %d of %v is not inside %v", at, pair[0], pair[1])
			}
		}
	})
}
