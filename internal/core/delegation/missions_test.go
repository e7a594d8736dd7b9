package delegation

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// line makes a chain of n hops, the limits given to each.
func line(t testing.TB, limits ...Limits) (Missions, Chain) {
	t.Helper()
	p := root(t)
	p.Statement.Limits = limits[0]
	m, h, err := Root(p, noon)
	if err != nil {
		t.Fatal(err)
	}
	all := Missions{}.WithMission(m).WithHop(h)
	c := Chain{Mission: m, Hops: []Hop{h}}
	for _, l := range limits[1:] {
		p := child(t, c)
		p.Statement.Limits = l
		h, err := Child(c, p, noon)
		if err != nil {
			t.Fatal(err)
		}
		all = all.WithHop(h)
		c.Hops = append(c.Hops, h)
	}
	return all, c
}

func TestChain(t *testing.T) {
	m, want := line(t, Limits{}, Limits{}, Limits{})
	got, err := m.Chain(want.Acting().ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Link(0) != want.Mission.Origin || got.Link(3) != want.Acting().Delegate {
		t.Errorf("links %s … %s", got.Link(0), got.Link(3))
	}
	if _, err := m.Chain(uid(principal.Hop, 99)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a hop that is not there: %v", err)
	}
	for what, breaks := range map[string]func(Missions, Hop, Mission) Missions{
		"no parent":       func(m Missions, h Hop, _ Mission) Missions { return m.WithoutHop(h.ID) },
		"no mission":      func(m Missions, _ Hop, v Mission) Missions { return m.WithoutMission(v.ID) },
		"another mission": func(m Missions, h Hop, _ Mission) Missions { h.Mission = "msn_x"; return m.WithHop(h) },
		"depth":           func(m Missions, h Hop, _ Mission) Missions { h.Depth = 1; return m.WithHop(h) },
		"delegate":        func(m Missions, h Hop, _ Mission) Missions { h.Delegate = "agt_x"; return m.WithHop(h) },
		"cycle":           func(m Missions, h Hop, _ Mission) Missions { h.Parent = h.ID; return m.WithHop(h) },
		"another root":    func(m Missions, _ Hop, v Mission) Missions { v.Root = "hop_x"; return m.WithMission(v) },
		"another origin":  func(m Missions, _ Hop, v Mission) Missions { v.Origin = "usr_x"; return m.WithMission(v) },
		"root with parent": func(m Missions, _ Hop, v Mission) Missions {
			h, _ := m.Hop(v.Root)
			h.Parent = h.ID
			return m.WithHop(h)
		},
		"depth of millions": func(m Missions, _ Hop, _ Mission) Missions {
			h := want.Acting()
			h.Depth = 1 << 30
			return m.WithHop(h)
		},
	} {
		if c, err := breaks(m, want.Hops[1], want.Mission).Chain(want.Acting().ID); err == nil || fault.KindOf(err) != fault.Internal || len(c.Hops) != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := m.Chain(want.Acting().ID); err != nil {
		t.Errorf("the original was changed: %v", err)
	}
}

func TestLimited(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	_, c := line(t,
		Limits{Calls: n(40), Cost: n(100), Rate: &Rate{N: 10, Per: 60}, MaxDepth: ptr(5)},
		Limits{},
		Limits{Calls: n(10), Rate: &Rate{N: 2, Per: 60}, MaxChildren: ptr(1)})
	want := []LimitedHead{
		{Head: c.Mission.ID, Link: 1, Limits: Limits{Cost: n(100), Rate: &Rate{N: 10, Per: 60}, MaxDepth: ptr(5)}},
		{Head: c.Hops[2].ID, Link: 3, Limits: Limits{Calls: n(10), Rate: &Rate{N: 2, Per: 60}, MaxChildren: ptr(1)}},
	}
	if diff := cmp.Diff(want, Limited(c)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]LimitedHead{
		{Head: c.Mission.ID, Link: 1, Limits: Limits{Cost: n(7)}},
		{Head: c.Hops[2].ID, Link: 3, Limits: Limits{Calls: n(4)}},
	}, c.Escrow(Limits{Calls: n(4), Cost: n(7), Rows: n(9)})); diff != "" {
		t.Error(diff)
	}
	if got := c.Acting().Escrow; got.Calls == nil || *got.Calls != 10 || got.Rate != nil {
		t.Errorf("escrow %+v", got)
	}
	if MaxDepth(c) != 5 || *c.Limits().MaxChildren != 1 || *c.Limits().Cost != 100 {
		t.Errorf("limits %+v", c.Limits())
	}
	if _, c := line(t, Limits{}); MaxDepth(c) != 12 || len(Limited(c)) != 0 {
		t.Error("without limits something is limited")
	}
}

// TestDepth: a chain grows to its maxDepth and no further.
func TestDepth(t *testing.T) {
	limits := make([]Limits, 12)
	m, c := line(t, limits...)
	if _, err := Child(c, child(t, c), noon); fault.KindOf(err) != fault.Denied {
		t.Errorf("hop 13: %v", err)
	}
	if got, err := m.Chain(c.Acting().ID); err != nil || len(got.Hops) != 12 {
		t.Errorf("chain of %d: %v", len(got.Hops), err)
	}
}

// TestIndexes holds Missions against plain maps over random writes.
func TestIndexes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Missions
		hops, missions := map[principal.UID]Hop{}, map[principal.UID]Mission{}
		some := func(p principal.Prefix, label string) principal.UID {
			return uid(p, byte(rapid.IntRange(1, 4).Draw(t, label)))
		}
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			before := m
			n := m.hops.Len()
			switch rapid.IntRange(0, 4).Draw(t, "write") {
			case 0:
				id := some(principal.Mission, "mission")
				missions[id] = Mission{ID: id, Origin: some(principal.User, "origin"), Context: some(principal.Context, "context")}
				m = m.WithMission(missions[id])
			case 1:
				id := some(principal.Mission, "mission")
				delete(missions, id)
				m = m.WithoutMission(id)
			case 2:
				id := uid(principal.Hop, byte(rapid.IntRange(1, 30).Draw(t, "hop")))
				delete(hops, id)
				m = m.WithoutHop(id)
			default:
				id := uid(principal.Hop, byte(rapid.IntRange(1, 30).Draw(t, "hop")))
				hops[id] = Hop{ID: id, Mission: some(principal.Mission, "of"), Delegate: some(principal.Agent, "delegate"),
					Blueprint: some(principal.Blueprint, "blueprint"), Depth: rapid.IntRange(1, 3).Draw(t, "depth"),
					Parent: rapid.SampledFrom([]principal.UID{"", uid(principal.Hop, 1), uid(principal.Hop, 2)}).Draw(t, "parent")}
				m = m.WithHop(hops[id])
			}
			if before.hops.Len() != n {
				t.Fatal("a write changed what it was made from")
			}
		}
		for i := byte(1); i <= 4; i++ {
			same(t, "mission", hopIDs(m.HopsOf(uid(principal.Mission, i))), hops, func(h Hop) bool { return h.Mission == uid(principal.Mission, i) })
			same(t, "delegate", m.ByDelegate(uid(principal.Agent, i)), hops, func(h Hop) bool { return h.Delegate == uid(principal.Agent, i) })
			same(t, "blueprint", m.ByBlueprint(uid(principal.Blueprint, i)), hops, func(h Hop) bool { return h.Blueprint == uid(principal.Blueprint, i) })
			same(t, "parent", m.Children(uid(principal.Hop, i)), hops, func(h Hop) bool { return h.Parent == uid(principal.Hop, i) })
			same(t, "context", m.ByContext(uid(principal.Context, i)), missions, func(v Mission) bool { return v.Context == uid(principal.Context, i) })
			same(t, "origin", m.ByOrigin(uid(principal.User, i)), missions, func(v Mission) bool { return v.Origin == uid(principal.User, i) })
		}
		if m.Len() != len(missions) {
			t.Fatalf("%d missions, want %d", m.Len(), len(missions))
		}
	})
}

func hopIDs(hops []Hop) []principal.UID {
	var out []principal.UID
	for _, h := range hops {
		out = append(out, h.ID)
	}
	slices.Sort(out)
	return out
}

func same[V any](t *rapid.T, what string, got []principal.UID, all map[principal.UID]V, is func(V) bool) {
	t.Helper()
	var want []principal.UID
	for id, v := range all {
		if is(v) {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("by %s: %v, want %v", what, got, want)
	}
}

// TestBalance: the tree of an index stays shallow in the order that uids come in.
func TestBalance(t *testing.T) {
	var s *uids
	for i := range 4096 {
		s = s.with(principal.UID(fmt.Sprintf("%06d", i)))
	}
	if s.len() != 4096 || s.height > 17 {
		t.Errorf("%d uids in a tree of height %d", s.len(), s.height)
	}
	for i := range 4000 {
		s = s.without(principal.UID(fmt.Sprintf("%06d", i)))
	}
	if s.len() != 96 || s.height > 9 || !slices.IsSorted(s.list()) {
		t.Errorf("%d uids in a tree of height %d", s.len(), s.height)
	}
}

// calls over the small world of TestNarrow.
func callsOver() []authority.Request {
	var out []authority.Request
	for _, action := range []string{"read", "list", "write"} {
		for _, p := range []string{"P1", "P10", "P2", "/P1/x"} {
			out = append(out, authority.Request{Type: authority.MCPTool, Server: "srv_r", Action: action,
				Arguments: map[string]json.RawMessage{"p": json.RawMessage(`"` + p + `"`)}})
		}
	}
	return out
}

func worldSets() *rapid.Generator[authority.Set] {
	constraints := rapid.SampledFrom([]authority.Constraint{
		{Any: true}, {Prefix: ptr("P1")}, {Exact: ptr(authority.StringValue("P1"))}, {PathPrefix: ptr("/P1")}, {MaxLength: ptr(2)},
		{OneOf: []authority.Value{authority.StringValue("P1"), authority.StringValue("P2")}},
	})
	items := rapid.Custom(func(t *rapid.T) authority.Item {
		return authority.Item{Type: authority.MCPTool, Server: "srv_r",
			Actions:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"read", "list", "write"}), 1, 3, rapid.ID).Draw(t, "actions"),
			Arguments: map[string]authority.Constraint{"p": constraints.Draw(t, "p")}}
	})
	return rapid.Map(rapid.SliceOfN(items, 0, 3), func(s []authority.Item) authority.Set { return s })
}

// TestNarrow grows a random tree of hops and narrows blueprints at random. After
// every step each hop's effective authority is inside its parent's, inside its
// own and inside what it was before, and exactly what the ceilings leave.
func TestNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Missions{}.WithMission(Mission{ID: uid(principal.Mission, 1), State: Active})
		var ids []principal.UID
		for i := range rapid.IntRange(1, 8).Draw(t, "hops") {
			h := Hop{ID: uid(principal.Hop, byte(i+1)), Mission: uid(principal.Mission, 1), Depth: 1, State: Active, Expiry: six,
				Blueprint: uid(principal.Blueprint, byte(rapid.IntRange(1, 3).Draw(t, "blueprint")))}
			h.Authority = worldSets().Draw(t, "authority")
			if i > 0 {
				parent, _ := m.Hop(rapid.SampledFrom(ids).Draw(t, "parent"))
				h.Parent, h.Depth = parent.ID, parent.Depth+1
				h.Authority = authority.Meet(h.Authority, parent.Effective) // what Child would accept
			}
			h.Effective = h.Authority
			m, ids = m.WithHop(h), append(ids, h.ID)
		}
		for range rapid.IntRange(1, 4).Draw(t, "narrowings") {
			blueprint := uid(principal.Blueprint, byte(rapid.IntRange(1, 3).Draw(t, "which")))
			ceiling := worldSets().Draw(t, "ceiling")
			before := m
			changed := Narrow(m, blueprint, ceiling)
			for _, h := range changed {
				m = m.WithHop(h)
			}
			if again := Narrow(m, blueprint, ceiling); len(again) != 0 {
				t.Fatalf("narrowing twice changes %d hops", len(again))
			}
			for _, id := range ids {
				now, _ := m.Hop(id)
				was, _ := before.Hop(id)
				under := false
				for h := now; ; h, _ = m.Hop(h.Parent) {
					if under = under || h.Blueprint == blueprint; h.Parent == "" {
						break
					}
				}
				parent, child := m.Hop(now.Parent)
				for _, r := range callsOver() {
					got, had := now.Effective.Match(r), was.Effective.Match(r)
					want := had
					if under && ceiling.Match(r) != authority.Yes {
						want = authority.No
					}
					if got != want {
						t.Fatalf("hop %s says %v to %v, want %v", id, got, r, want)
					}
					if got == authority.Yes && (now.Authority.Match(r) != authority.Yes || child && parent.Effective.Match(r) != authority.Yes) {
						t.Fatalf("hop %s allows %v beyond its authority or its parent's", id, r)
					}
				}
			}
		}
	})
}

func TestNarrowLeavesTheDead(t *testing.T) {
	m, c := line(t, Limits{}, Limits{}, Limits{})
	all := Narrow(m, uid(principal.Blueprint, 1), nil)
	if len(all) != 3 || all[0].Depth != 1 || all[2].Depth != 3 || len(all[2].Effective) != 0 || len(all[2].Authority) == 0 {
		t.Errorf("narrowed %d hops", len(all))
	}
	if got := Narrow(m, uid(principal.Blueprint, 1), parse(t, ceiling)); len(got) != 0 {
		t.Errorf("a ceiling that covers them changed %d hops", len(got))
	}
	dead := c.Hops[1]
	dead.State = Revoked
	if got := Narrow(m.WithHop(dead), uid(principal.Blueprint, 1), nil); len(got) != 2 {
		t.Errorf("narrowed %d hops of which one is revoked", len(got))
	}
	ended := c.Mission
	ended.State = Done
	if got := Narrow(m.WithMission(ended), uid(principal.Blueprint, 1), nil); len(got) != 0 {
		t.Errorf("narrowed %d hops of a mission that is done", len(got))
	}
	if got := m.Descendants(c.Hops[0].ID); !slices.Equal(got, []principal.UID{c.Hops[1].ID, c.Hops[2].ID}) {
		t.Errorf("descendants %v", got)
	}
	if n := m.LiveChildren(c.Hops[0].ID, noon); n != 1 {
		t.Errorf("%d live children", n)
	}
	if n := m.LiveChildren(c.Hops[0].ID, six); n != 0 {
		t.Errorf("%d live children at the end", n)
	}
}

func BenchmarkChain(b *testing.B) {
	m, c := line(b, Limits{Calls: ptr(int64(1 << 20))}, Limits{}, Limits{Calls: ptr(int64(9))})
	id := c.Acting().ID
	b.ReportAllocs()
	for b.Loop() {
		c, _ := m.Chain(id)
		Limited(c)
	}
}
