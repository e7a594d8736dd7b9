package golden

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
)

func TestGolden(t *testing.T) {
	d := read(t)
	for _, c := range d.Cases {
		t.Run(fmt.Sprintf("%02d_%s", c.N, strings.ReplaceAll(c.Title, " ", "_")), func(t *testing.T) {
			switch {
			case c.Direct != "":
				direct(t, build(t, d, c), c)
			case c.Make != nil:
				makeHop(t, build(t, d, c), c)
			case c.List != "":
				list(t, build(t, d, c), c)
			default:
				call(t, build(t, d, c), c)
			}
		})
	}
}

// TestAllNumbered proves that no case of the table is forgotten: each runs here,
// elsewhere, or is pending by number.
func TestAllNumbered(t *testing.T) {
	d := read(t)
	seen := map[int]bool{}
	for _, c := range d.Cases {
		seen[c.N] = true
	}
	for _, m := range []map[string]string{d.Where, d.Pending} {
		for k := range m {
			n, err := strconv.Atoi(k)
			if err != nil || seen[n] {
				t.Errorf("case %s is listed twice or is no number", k)
			}
			seen[n] = true
		}
	}
	for n := 1; n <= 46; n++ {
		if !seen[n] {
			t.Errorf("case %d is nowhere", n)
		}
	}
	t.Logf("pending: %v", d.Pending)
}

func (w *world) subject(c golden) directory.Subject {
	w.t.Helper()
	n := c.Hop
	if c.Mission == "S" {
		n = 100
	}
	chain, err := w.snap.Missions.Chain(w.hops[n])
	must(w.t, err)
	return directory.Delegated{Chain: chain}
}

func call(t *testing.T, w *world, c golden) {
	var server, tool string
	must(t, json.Unmarshal(c.Call[0], &server))
	must(t, json.Unmarshal(c.Call[1], &tool))
	s, _ := w.snap.Catalogue.ServerByHandle(server)
	action, err := mapping.Resolve(w.snap.Catalogue, s.ID, tool, c.Call[2])
	must(t, err)
	r := decision.Request{Subject: w.subject(c), Action: action, At: at(c.At), Heads: map[principal.UID]ledger.Head{
		w.ids["M"]: c.Used, w.ids["S"]: c.Used}}
	if c.Names != "" {
		r.Mission = w.ids[c.Names]
	}
	v := decision.Decide(w.snap, r)
	expect(t, v, c)
	r.Explain = true
	expect(t, decision.Decide(w.snap, r), c) // asking for more answers the same
}

func expect(t *testing.T, v decision.Verdict, c golden) {
	t.Helper()
	binding := ""
	f, ok := v.Binding()
	if ok {
		binding = fmt.Sprintf("link %d %s", f.Link, f.Stage)
	}
	if v.Outcome().String() != c.Want || binding != c.Binding {
		t.Errorf("case %d: %s at %q, want %s at %q; findings %+v", c.N, v.Outcome(), binding, c.Want, c.Binding, v.Findings())
	}
	if c.Diagnostic && (len(f.Policies) == 0 || f.Policies[0].Error == "") {
		t.Errorf("case %d: the binding finding has no diagnostic: %+v", c.N, f)
	}
	if c.Shadow && len(v.Shadow()) == 0 {
		t.Errorf("case %d: nothing recorded as would-deny", c.N)
	}
	if !ok && c.Want != "allow" {
		t.Errorf("case %d: no binding", c.N)
	}
}

// TestRequestableIsBeyondTheCeiling: what the ceiling holds and the mission left
// out is not for an approval to add, whatever the blueprint may request.
func TestRequestableIsBeyondTheCeiling(t *testing.T) {
	w := build(t, read(t), golden{})
	b, _ := w.snap.Directory.Blueprint(w.id("blueprint", "assistant"))
	b.Requestable = slices.Concat(b.Requestable, b.Ceiling)
	w.put("blueprint", string(b.ID), b)
	call(t, w, golden{N: 2, Hop: 1, Call: []json.RawMessage{[]byte(`"records"`), []byte(`"open"`), []byte(`{"path":"/P2/x"}`)},
		Want: "deny", Binding: "link 1 ceiling"})
}

func list(t *testing.T, w *world, c golden) {
	s, _ := w.snap.Catalogue.ServerByHandle(c.List)
	var shown []string
	for _, tool := range w.snap.Catalogue.ToolsOf(s.ID) {
		q, err := mapping.Outline(w.snap.Catalogue, s.ID, tool.Name)
		must(t, err)
		if decision.Decide(w.snap, decision.Request{Subject: w.subject(c), Action: q, At: at(c.At)}).Maybe() {
			shown = append(shown, tool.Name)
		}
	}
	if !slices.Equal(shown, c.Shown) {
		t.Errorf("case %d: shown %v, want %v", c.N, shown, c.Shown)
	}
}

func makeHop(t *testing.T, w *world, c golden) {
	_, err := w.hop(*c.Make, c)
	if err == nil || !strings.Contains(err.Error(), c.Says) {
		t.Errorf("case %d: %v, want a refusal that says %q", c.N, err, c.Says)
	}
}

func direct(t *testing.T, w *world, c golden) {
	id := w.id("agent", c.Direct)
	if _, err := w.snap.Directory.AsDirect(id); err == nil {
		t.Errorf("case %d: the directory made an agent a direct subject", c.N)
	}
	v := decision.Decide(w.snap, decision.Request{Subject: directory.Direct{Principal: id}, Action: mapping.Action{Name: "mission.create"}, At: at("")})
	if v.Outcome() != decision.Deny {
		t.Errorf("case %d: %s", c.N, v.Outcome())
	}
}
