package ledger_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// words draws text of every awkward kind: quotes, controls, what looks like a
// member's name, and characters beyond the first plane.
func words(label string, t *rapid.T) string {
	return rapid.OneOf(
		rapid.Just(""), rapid.StringMatching(`[a-z_.]{1,12}`), rapid.String(),
		rapid.SampledFrom([]string{`","index":1,"id":"`, `,"kind":"`, `\`, "\x00\n\u2028😀<&>", `","runN":7,"server":"x`}),
	).Draw(t, label)
}

func entry(t *rapid.T) ledger.Entry {
	uid := func(label string) principal.UID { return principal.UID(words(label, t)) }
	e := ledger.Entry{
		ID: uid("id"), Kind: ledger.Kind(words("kind", t)), Class: words("class", t), Actor: uid("actor"),
		Origin: uid("origin"), Mission: uid("mission"), Hop: uid("hop"), Run: uid("run"), Parent: uid("parent"),
		Server: uid("server"), Action: words("action", t), Decision: words("decision", t),
		Binding: words("binding", t), Bound: words("bound", t), Delegation: words("delegation", t),
		Revision: rapid.Int64Range(0, 1<<53-1).Draw(t, "revision"), Pins: words("pins", t), Inputs: words("inputs", t),
		Time:    time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "time")),
		Payload: json.RawMessage(words("payload", t)),
	}
	copy(e.Salt[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "salt"))
	return e
}

// The draft, finished, is the leaf that package proof encodes; unfinished, it is
// the draft again.
func TestFinishedDraftIsTheLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entry(t)
		boot, n := rapid.Int64Range(1, 99).Draw(t, "boot"), rapid.Int64Range(1, 1<<40).Draw(t, "n")
		tenant, writer, prev, rows := words("tenant", t), words("writer", t), words("prev", t), words("rows", t)
		index, runN := rapid.Int64Range(0, 1<<40).Draw(t, "index"), rapid.Int64Range(0, 1<<40).Draw(t, "runN")

		draft, hash := ledger.Draft(e, tenant, writer, boot, n, prev, rows)
		got := ledger.Finish(draft, index, runN)

		class := e.Class
		if class == "" {
			class = ledger.Standard
		}
		want := proof.Leaf{
			V: 1, ID: string(e.ID), Kind: string(e.Kind), Class: class, Actor: string(e.Actor), Origin: string(e.Origin),
			Mission: string(e.Mission), Hop: string(e.Hop), Run: string(e.Run), RunN: runN, Parent: string(e.Parent),
			Server: string(e.Server), Action: e.Action, Decision: e.Decision, Binding: e.Binding, Bound: e.Bound,
			Delegation: e.Delegation, Revision: e.Revision, Pins: e.Pins, Inputs: e.Inputs, Index: index,
			Payload: proof.Commit(e.Salt, e.Payload), Rows: rows, Prev: prev, Tenant: tenant, Writer: writer,
			Boot: boot, N: n, Time: e.Time.UnixMicro(),
		}.Bytes()
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Fatalf("leaf (-proof +ledger):\n%s", diff)
		}
		if !json.Valid(draft) || hash != proof.Hash(draft) {
			t.Fatalf("draft %s hashes to %s", draft, hash)
		}
		if diff := cmp.Diff(string(draft), string(ledger.Unfinish(got))); diff != "" {
			t.Fatalf("unfinished (-draft +got):\n%s", diff)
		}
	})
}

func TestOrder(t *testing.T) {
	pending := []ledger.Pending{{N: 4, Run: "a"}, {N: 5}, {N: 6, Run: "b"}, {N: 9, Run: "a"}}
	counts := map[principal.UID]int64{"a": 7}
	got := ledger.Order(pending, 100, counts)
	want := []ledger.Assigned{{4, 100, 8}, {5, 101, 0}, {6, 102, 1}, {9, 103, 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if counts["a"] != 7 || len(counts) != 1 {
		t.Errorf("the caller's counts became %v", counts)
	}
}

// FuzzUnfinish: whatever bytes a damaged store hands out, taking a leaf apart
// ends and never grows it.
func FuzzUnfinish(f *testing.F) {
	draft, _ := ledger.Draft(typical(), "ten_1", "w", 1, 1, "", "")
	f.Add(ledger.Finish(draft, 3, 4))
	f.Add([]byte(`,"index":`))
	f.Add([]byte(`,"index":1,"runN":`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		if got := ledger.Unfinish(leaf); len(got) > len(leaf) {
			t.Errorf("%q grew to %q", leaf, got)
		}
	})
}

// typical is an entry as a tool call writes it.
func typical() ledger.Entry {
	uid := func(p principal.Prefix) principal.UID {
		return principal.Make(p, time.UnixMilli(math.MaxInt32), [10]byte{1})
	}
	return ledger.Entry{
		ID: uid("ent"), Time: time.UnixMicro(1_790_000_000_000_000), Kind: ledger.Decision, Actor: uid("agt"),
		Origin: uid("usr"), Mission: uid("msn"), Hop: uid("hop"), Run: uid("run"), Server: uid("srv"),
		Action: "read", Decision: "allow", Bound: "dpop", Revision: 812, Delegation: proof.Hash(nil),
		Pins: proof.Hash(nil), Inputs: proof.Hash(nil), Payload: json.RawMessage(`{"type":"mcp_tool","arguments":{"patient":"P1"}}`),
	}
}

// Draft is on the path of every call: what it allocates is bounded.
func TestDraftAllocations(t *testing.T) {
	e := typical()
	const most = 16 // the draft, the salted commitment and the hash
	if got := testing.AllocsPerRun(100, func() { ledger.Draft(e, "ten_1", "w", 1, 9, "prev", "") }); got > most {
		t.Errorf("Draft allocates %v times, want at most %d", got, most)
	}
}

func BenchmarkDraft(b *testing.B) {
	e := typical()
	b.ReportAllocs()
	for b.Loop() {
		ledger.Draft(e, "ten_1", "w", 1, 9, "prev", "")
	}
}

func BenchmarkFinish(b *testing.B) {
	draft, _ := ledger.Draft(typical(), "ten_1", "w", 1, 9, "prev", "")
	b.ReportAllocs()
	for b.Loop() {
		ledger.Finish(draft, 1_000_000, 12)
	}
}
