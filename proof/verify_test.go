package proof

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/ambit-iam/ambit/proof/authority"
)

func TestVerify(t *testing.T) {
	b := newWorld().seal()
	_, vkey := logKeys("log", "ambit.example/ledger")
	got, err := Verify(b, Options{LogKey: vkey})
	if err != nil {
		t.Fatal(strings.Join(got.Problems, "\n"))
	}
	want := Report{Log: "ambit.example/ledger", LogKey: vkey, LogKeyPinned: true, Size: 17, Missions: []string{"msn_m"},
		Origins: []string{"usr_c"}, Entries: 13, Hops: 2, Actions: 2, Runs: 2,
		Signatures: []Signature{{Mission: "msn_m", Person: "usr_c", JKT: testJKT("clinician"), Enrolled: 0, Evidence: "admin.sock"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := Verify(b, Options{}); err != nil || got.LogKeyPinned {
		t.Errorf("unpinned: %+v, %v", got, err)
	}
}

// A change may say which hop it is about: it is no action under that hop.
func TestVerifyChangeOfHop(t *testing.T) {
	w := newWorld()
	w.entries[2].Hop, w.entries[2].Actor, w.entries[2].Origin = "hop_1", "usr_admin", "usr_admin"
	w.entries[2].Time = (begin + 4000) * 1_000_000 // whenever
	w.entries[2].unnamed = true
	if r, err := Verify(w.seal(), Options{}); err != nil {
		t.Errorf("%q", r.Problems)
	}
}

// What is not known is said, and is no failure.
func TestVerifyUnknown(t *testing.T) {
	w := newWorld()
	w.entries = w.entries[:12] // nothing after the summarizer's denial: no outcome, no seals
	got, err := Verify(w.seal(), Options{})
	if err != nil || got.Unknown != 1 || got.Open != 2 {
		t.Errorf("unknown %d, open %d, %v", got.Unknown, got.Open, err)
	}
}

// A tampering and the sentence that must name it.
type tampering[T any] struct {
	name string
	edit func(T)
	want string
}

func refused(t *testing.T, b Bundle, want string) {
	t.Helper()
	r, err := Verify(b, Options{})
	if err == nil || !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, want) }) {
		t.Errorf("want a problem with %q; got %q", want, r.Problems)
	}
}

// The operator's side: whoever keeps the log can put anything in it, sign the
// tree over it and hand out a bundle that is consistent in itself.
func TestVerifyRefusesOperator(t *testing.T) {
	rows := func(w *world, i int) []Row { return w.entries[i].payload.(fields)["rows"].([]Row) }
	for _, c := range []tampering[*world]{
		// The chain.
		{"hop widened", func(w *world) { w.hops[1].Authority = reads("P1", "delete") }, "not inside the parent's authority"},
		{"hop of another patient", func(w *world) { w.hops[1].Authority = reads("P2") }, "not inside the parent's authority"},
		{"expiry extended", func(w *world) { w.hops[1].Expiry = begin + 3601 }, "1 s after its parent"},
		{"limit raised", func(w *world) { n := int64(41); w.hops[1].Limits.Calls = &n }, "limits"},
		{"limit raised past a silent parent", func(w *world) { grandchild(w); n := int64(41); w.hops[2].Limits.Calls = &n }, "limits"},
		{"depth skipped", func(w *world) { w.hops[1].Depth = 3 }, "does not follow"},
		{"too deep", func(w *world) { n := 1; w.hops[0].Limits.MaxDepth = &n }, "where 1 is the deepest"},
		{"other mission", func(w *world) { w.hops[1].Mission = "msn_x" }, "is not the parent's"},
		{"other audience", func(w *world) { w.hops[1].Audience = "https://ambit.other" }, "is not the parent's"},
		{"not the delegate's to delegate", func(w *world) {
			w.hops[1].Issuer = "agt_z"
			w.keys[1].uid = "agt_z"
		}, "delegates what was delegated to agt_a"},
		{"wrong parent commitment", func(w *world) { w.hops[1].Parent = Hash([]byte("x")) }, "statement of its parent is not here"},
		{"child signed with another key", func(w *world) {
			w.hops[1].by = "mallory"
			w.keys[1].name = "mallory"
		}, "its parent confirms"},
		{"child's parent does not hold", func(w *world) { grandchild(w); w.hops[1].Expiry = begin + 9999 }, "its parent hop_2 does not hold"},
		{"audience of another log", func(w *world) {
			for i := range w.hops {
				w.hops[i].Audience = "https://ambit.other"
			}
		}, "is meant for https://ambit.other"},
		{"checkpoint of another origin", func(w *world) { w.origin = "other.example/ledger" }, "the log is other.example/ledger"},
		// The person's key.
		{"not enrolled", func(w *world) { w.hops[0].by, w.keys[0].name = "mallory", "mallory" }, "did not enrol"},
		{"no entry named", func(w *world) { w.keys[0].entry = "" }, "no entry before its first use enrols"},
		{"entry of another person", func(w *world) { rows(w, 0)[0].Key = "usr_d" }, "did not enrol"},
		{"enrolment not here", func(w *world) { w.entries[0].alien = true }, "did not enrol"},
		{"enrolled by a mere group row", func(w *world) { rows(w, 0)[0].Kind = "group" }, "did not enrol"},
		{"enrolled after use", func(w *world) {
			w.entries[14].Leaf, w.entries[14].payload = w.entries[0].Leaf, w.entries[0].payload
			w.entries[0].alien, w.entries[0].ID = true, "ent_x"
		}, "no entry before its first use enrols"},
		{"withdrawn before use", func(w *world) {
			w.entries[2].payload.(fields)["rows"] = []Row{userRow("usr_c", "another")}
		}, "a later one withdrew it"},
		{"person removed before use", func(w *world) {
			w.entries[2].payload.(fields)["rows"] = []Row{{Kind: "user", Key: "usr_c"}}
		}, "a later one withdrew it"},
		{"key twice", func(w *world) { w.keys = append(w.keys, w.keys[1]) }, "is here twice"},
		{"key of nobody", func(w *world) { w.keys = append(w.keys, keyDraft{"agt_q", "q", ""}) }, "signed nothing here"},
		// Entries and hops.
		{"another statement", func(w *world) { w.entries[4].Delegation = Hash([]byte("x")) }, "names another statement"},
		{"no statement named", func(w *world) { w.entries[4].Hop, w.entries[4].Delegation = "", Hash(nil) }, "names a statement and no hop"},
		{"unknown hop", func(w *world) { w.entries[4].Hop, w.entries[4].Delegation = "hop_9", Hash(nil) }, "has no statement here"},
		{"agent without a mission", func(w *world) { w.entries[4].Hop = "" }, "an agent only ever acts under one"},
		{"other origin", func(w *world) { w.entries[4].Origin = "usr_d" }, "signed the mission"},
		{"other actor", func(w *world) { w.entries[4].Actor = "agt_b" }, "acted; hop hop_1 is of agt_a"},
		{"issued to a stranger", func(w *world) { w.entries[3].Actor = "agt_z" }, "acted; hop hop_1 is of agt_a"},
		{"acted as the delegator", func(w *world) { w.entries[10].Actor = "agt_a" }, "acted; hop hop_2 is of agt_b"},
		{"changed under a hop by a stranger to it", func(w *world) { w.entries[2].Hop, w.entries[2].Origin = "hop_1", "usr_d" }, "signed the mission"},
		{"changed by an agent", func(w *world) {
			w.entries[2].Actor, w.entries[2].Hop, w.entries[2].Delegation = "agt_a", "hop_9", Hash(nil)
		}, "has no statement here"},
		{"mission of another hop", func(w *world) { w.entries[4].Mission = "msn_x" }, "hop hop_1 is of msn_m"},
		{"before it was signed", func(w *world) { w.entries[4].Time = begin*1_000_000 - 1 }, "outside the time of hop hop_1"},
		{"as it ended", func(w *world) { w.entries[10].Time = (begin + 600) * 1_000_000 }, "outside the time of hop hop_2"},
		{"parent ended", func(w *world) { w.hops[0].Expiry = begin + 30; w.hops[1].Expiry = begin + 30 }, "outside the time of hop hop_1"},
		{"issued late", func(w *world) { w.entries[8].Time = (begin + 600) * 1_000_000 }, "outside the time of hop hop_2"},
		// Actions.
		{"another patient", func(w *world) { w.entries[4].payload = act("read", "P2") }, "not inside the authority of hop hop_1"},
		{"more than was delegated", func(w *world) {
			w.entries[10].payload, w.entries[10].Action = act("write", "P1"), "write"
		}, "not inside the authority of hop hop_2"},
		{"argument nobody named", func(w *world) {
			w.entries[4].payload.(fields)["arguments"].(fields)["force"] = true
		}, "not inside the authority"},
		{"arguments hidden", func(w *world) { delete(w.entries[4].payload.(fields), "arguments") }, "not inside the authority"},
		{"arguments no object", func(w *world) { w.entries[4].payload.(fields)["arguments"] = 1 }, "arguments are not an object"},
		{"type missing", func(w *world) { delete(w.entries[4].payload.(fields), "type") }, "not inside the authority"},
		{"leaf of another action", func(w *world) { w.entries[4].Action = "list" }, "the payload is of"},
		{"leaf of another server", func(w *world) { w.entries[4].Server = "srv_x" }, "the payload is of"},
		{"no payload", func(w *world) { w.entries[4].payload = nil }, "the payload is of"},
		{"two spellings of an argument", func(w *world) {
			w.entries[4].payload = `{"type":"mcp_tool","server":"srv_r","action":"read","arguments":{"patient":"P2"},"\u0061rguments":{"patient":"P1"}}`
		}, "occurs twice"},
		{"case of a member", func(w *world) {
			w.entries[4].payload = `{"type":"mcp_tool","server":"srv_r","action":"read","Arguments":{"patient":"P1"}}`
		}, "not inside the authority"},
		{"undecided", func(w *world) { w.entries[6].Decision = "" }, "decided"},
		{"unknown kind", func(w *world) { w.entries[4].Kind = "note" }, "is not known"},
		{"payload replaced", func(w *world) { w.entries[4].Payload = Hash(nil) }, "is not what the leaf commits to"},
		{"rows replaced", func(w *world) { w.entries[2].Rows = Hash(nil) }, "change rows are not those"},
		{"rows without a digest", func(w *world) {
			w.entries[3].payload = `{"rows":[{"kind":"agent","key":"agt_a"}]}`
		}, "change rows are not those"},
		{"rows no array", func(w *world) { w.entries[2].payload = `{"rows":{}}` }, "payload: rows"},
		{"digest of nothing", func(w *world) { w.entries[2].payload, w.entries[2].Rows = nil, Hash(nil) }, "change rows are not those"},
		// Runs.
		{"counter gap", func(w *world) { w.entries[5].RunN = 4 }, "entries are missing or out of order"},
		{"counter repeated", func(w *world) { w.entries[5].RunN = 2 }, "entries are missing or out of order"},
		{"action in no run", func(w *world) { w.entries[11].Run = "" }, "is in no run"},
		{"run of two missions", func(w *world) { w.entries[13].Mission = "msn_x" }, "is of mission"},
		{"after the end", func(w *world) { w.entries[11].Kind = "seal" }, "follows the end of run"},
		{"two tenants", func(w *world) { w.entries[4].Tenant = "ten_2" }, "is of tenant"},
		{"an id twice", func(w *world) { w.entries[6].ID = "ent_4" }, "another entry has its id"},
		// Outcomes.
		{"outcome of nothing", func(w *world) { w.entries[5].Parent = "" }, "which is not here"},
		{"outcome of a denial", func(w *world) { w.entries[12].Parent = "ent_11" }, "which allowed nothing"},
		{"outcome of another run", func(w *world) { w.entries[12].Parent = "ent_4" }, "another hop, run or actor"},
		{"outcome before its decision", func(w *world) { w.entries[5].Parent = "ent_10" }, "which came later"},
		{"second outcome", func(w *world) {
			w.entries[6].Leaf, w.entries[6].payload = w.entries[5].Leaf, w.entries[5].payload
			w.entries[6].ID = "ent_6"
		}, "is a second outcome"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			c.edit(w)
			refused(t, w.seal(), c.want)
		})
	}
}

// grandchild adds a hop from the summarizer to a scribe.
func grandchild(w *world) {
	s := w.hops[1].Statement
	s.ID, s.Issuer, s.Subject, s.Depth, s.Confirm.JKT = "hop_3", "agt_b", "agt_c", 3, testJKT("scribe")
	w.hops = append(w.hops, hopDraft{s, "summarizer", 1})
	w.keys = append(w.keys, keyDraft{"agt_b", "summarizer", ""})
}

func TestVerifyDeep(t *testing.T) {
	w := newWorld()
	grandchild(w)
	if r, err := Verify(w.seal(), Options{}); err != nil || r.Hops != 3 {
		t.Errorf("%d hops, %v", r.Hops, err)
	}
}

// The bearer's side: whoever holds a bundle can change it and cannot sign.
func TestVerifyRefusesBearer(t *testing.T) {
	for _, c := range []tampering[*Bundle]{
		{"no checkpoint", func(b *Bundle) { b.Checkpoint = nil }, "checkpoint"},
		{"no entries", func(b *Bundle) { b.Entries = nil }, "no entries"},
		{"no statements", func(b *Bundle) { b.Statements = nil }, "has no statement here"},
		{"no keys", func(b *Bundle) { b.Keys = nil }, "no key"},
		{"no log key", func(b *Bundle) { b.LogKey = "" }, "log key"},
		{"another log's key", func(b *Bundle) { _, b.LogKey = logKeys("mallory", "ambit.example/ledger") }, "checkpoint"},
		{"swapped", func(b *Bundle) { b.Entries[3], b.Entries[4] = b.Entries[4], b.Entries[3] }, "stands after"},
		{"entry twice", func(b *Bundle) { b.Entries = slices.Insert(b.Entries, 4, b.Entries[4]) }, "stands after"},
		{"statement twice", func(b *Bundle) { b.Statements = append(b.Statements, b.Statements[0]) }, "has another statement"},
		{"statement garbled", func(b *Bundle) { b.Statements[0] = "e30.e30.AA" }, "statement 1"},
		{"proof of another", func(b *Bundle) { b.Entries[3].Proof = b.Entries[4].Proof }, "not proved"},
		{"no proof", func(b *Bundle) { b.Entries[3].Proof = nil }, "not proved"},
		{"another index", func(b *Bundle) { b.Entries[12].Leaf.Index = 99 }, "not proved"},
		{"leaf changed", func(b *Bundle) { b.Entries[3].Leaf.Bound = "bearer" }, "not proved"},
		{"leaf malformed", func(b *Bundle) { b.Entries[3].Leaf.V = 9 }, "malformed leaf"},
		{"leaf not UTF-8", func(b *Bundle) { b.Entries[3].Leaf.Bound = "\xff" }, "malformed leaf"},
		{"payload changed", func(b *Bundle) { b.Entries[3].Payload = json.RawMessage(`{}`) }, "is not what the leaf commits to"},
		{"payload withheld", func(b *Bundle) { b.Entries[3].Payload = nil }, "is not what the leaf commits to"},
		{"salt changed", func(b *Bundle) { b.Entries[3].Salt[0] ^= 1 }, "is not what the leaf commits to"},
		{"statement re-signed", func(b *Bundle) {
			s, _, _ := ParseStatement(b.Statements[0])
			b.Statements[0], _ = SignStatement(s, testKey("mallory"))
			b.Keys[0].JWK = testJWK("mallory")
		}, "did not enrol"},
		{"key replaced", func(b *Bundle) { b.Keys[0].JWK = testJWK("mallory") }, "no key"},
		{"private key", func(b *Bundle) { b.Keys[0].JWK = json.RawMessage(`{"d":""}`) }, "private key"},
		{"extension line", func(b *Bundle) { b.Checkpoint = resign(b, "extension\n") }, "want origin, size and root"},
		{"cosigned", func(b *Bundle) { b.Checkpoint = append(b.Checkpoint, "— witness.example AAAAAAAAAAA=\nx"...) }, "malformed note"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newWorld().seal()
			c.edit(&b)
			refused(t, b, c.want)
		})
	}
}

// resign signs the checkpoint's text with more of it, as the log itself could.
func resign(b *Bundle, more string) []byte {
	text, _, _ := bytes.Cut(b.Checkpoint, []byte("\n\n"))
	skey, _ := logKeys("log", "ambit.example/ledger")
	signer, _ := note.NewSigner(skey)
	signed, err := note.Sign(&note.Note{Text: string(text) + "\n" + more}, signer)
	if err != nil {
		panic(err)
	}
	return signed
}

// Without any entry of a run but its last, and without the enrolment, the
// evidence is refused. The last of a run is told from its end by the seal.
func TestVerifyDropAny(t *testing.T) {
	whole := newWorld().seal()
	for i, e := range whole.Entries {
		b := whole
		b.Entries = slices.Delete(slices.Clone(whole.Entries), i, i+1)
		r, err := Verify(b, Options{})
		switch {
		case e.Leaf.Kind == "seal":
			if r.Open != 1 {
				t.Errorf("without the seal %d: open %d", i, r.Open)
			}
		case e.Leaf.Action == "mission.create":
			// Only the entries of runs are numbered.
		case err == nil:
			t.Errorf("accepted without entry %d", e.Leaf.Index)
		}
	}
}

func TestVerifyPinned(t *testing.T) {
	w := newWorld()
	w.signer = "mallory" // a whole log of mallory's own
	b := w.seal()
	if _, err := Verify(b, Options{}); err != nil {
		t.Fatal(err)
	}
	_, vkey := logKeys("log", w.origin)
	r, err := Verify(b, Options{LogKey: vkey})
	if err == nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "is expected") {
		t.Errorf("%q, %v", r.Problems, err)
	}
	b.LogKey = vkey
	if r, err := Verify(b, Options{LogKey: vkey}); err == nil {
		t.Errorf("accepted another's checkpoint: %+v", r)
	}
}

func TestVerifyNothing(t *testing.T) {
	if _, err := Verify(Bundle{}, Options{}); err == nil {
		t.Error("nothing is valid")
	}
}

func TestCheckpoint(t *testing.T) {
	b := newWorld().seal()
	c, err := OpenCheckpoint(b.Checkpoint, b.LogKey)
	if err != nil || c.Origin != "ambit.example/ledger" || c.Size != 17 {
		t.Fatalf("%+v, %v", c, err)
	}
	skey, _ := logKeys("log", "ambit.example/ledger")
	signer, _ := note.NewSigner(skey)
	root := strings.Split(c.Text(), "\n")[2]
	for name, text := range map[string]string{
		"other origin":  "other.example/ledger\n17\n" + root + "\n",
		"leading zero":  "ambit.example/ledger\n017\n" + root + "\n",
		"plus":          "ambit.example/ledger\n+17\n" + root + "\n",
		"negative":      "ambit.example/ledger\n-1\n" + root + "\n",
		"too large":     "ambit.example/ledger\n9223372036854775807\n" + root + "\n",
		"short root":    "ambit.example/ledger\n17\nAAAA\n",
		"stray bits":    "ambit.example/ledger\n17\n" + root[:42] + "B=\n",
		"no root":       "ambit.example/ledger\n17\n",
		"an empty line": "ambit.example/ledger\n17\n" + root + "\n\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := OpenCheckpoint(signed, b.LogKey); err == nil && c.Text() != text {
			t.Errorf("%s: opened as %+v", name, c)
		} else if err == nil && name != "stray bits" {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := OpenCheckpoint(b.Checkpoint, strings.ToUpper(b.LogKey)); err == nil {
		t.Error("accepted a key of another spelling")
	}
	for issuer, want := range map[string]string{
		"https://ambit.example": "ambit.example/ledger", "http://127.0.0.1:8420": "127.0.0.1:8420/ledger",
		"https://ambit.example/t/": "ambit.example/ledger", "ambit.example": "", "ftp://a": "", "https://": "", "https://a b": "",
		"https://u@h": "", "https://h?q": "",
	} {
		if got := logOrigin(issuer); got != want {
			t.Errorf("%s: %q, want %q", issuer, got, want)
		}
	}
}

// manyActions is a world of n allowed calls, each with its outcome.
func manyActions(n int) *world {
	w := newWorld()
	decision, outcome := w.entries[4], w.entries[5]
	w.entries = w.entries[:4]
	for i := range n {
		d, o := decision, outcome
		d.ID, d.N = fmt.Sprintf("ent_d%d", i), int64(2*i+100)
		o.ID, o.N, o.Parent = fmt.Sprintf("ent_o%d", i), d.N+1, d.ID
		w.entries = append(w.entries, d, o)
	}
	w.hops = w.hops[:1]
	w.keys = w.keys[:1]
	return w
}

func BenchmarkVerify10000(b *testing.B) {
	var file bytes.Buffer
	if err := WriteBundle(&file, manyActions(5000).seal()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		bundle, err := ReadBundle(file.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		if r, err := Verify(bundle, Options{}); err != nil || r.Actions != 5000 {
			b.Fatal(r.Actions, err)
		}
	}
}

// A mission may narrow what its hops hold to nothing at all.
func TestVerifyEmptyAuthority(t *testing.T) {
	w := newWorld()
	w.hops[1].Authority = authority.Set{}
	refused(t, w.seal(), "not inside the authority of hop hop_2")
}
