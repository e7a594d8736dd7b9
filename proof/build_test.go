package proof

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A world is a small ledger in the making: a clinician enrols and signs a
// mission for an assistant, which acts and delegates to a summarizer, which
// acts. Tests edit it before seal, as a cheating operator could, or edit the
// bundle that seal returns, as a cheating bearer could.
type world struct {
	origin  string // of the log
	signer  string // whose Ed25519 key signs the checkpoint
	hops    []hopDraft
	entries []entryDraft
	keys    []keyDraft
}

type hopDraft struct {
	Statement
	by     string // name of the signing key
	parent int    // index of the parent in hops; -1 for a root
}

type entryDraft struct {
	Leaf
	payload any  // nil for none; a string is taken as it is
	alien   bool // in the log and not in the bundle
	unnamed bool // the leaf does not name its hop's statement
}

type keyDraft struct{ uid, name, entry string }

const (
	begin  = 1_793_000_000 // when the mission was signed, seconds
	audURL = "https://ambit.example"
)

type fields = map[string]any

func act(action, patient string) fields {
	return fields{"type": "mcp_tool", "server": "srv_r", "action": action, "resource": "patient:" + patient,
		"arguments": fields{"patient": patient}, "effect": "read", "reasons": []string{"care team"}}
}

func userRow(uid string, keys ...string) Row {
	var enrolled []fields
	for _, k := range keys {
		enrolled = append(enrolled, fields{"jkt": testJKT(k), "jwk": json.RawMessage(testJWK(k)), "evidence": "admin.sock"})
	}
	body, _ := json.Marshal(fields{"id": uid, "handle": "clinician", "keys": enrolled, "state": "active"})
	return Row{Kind: "user", Key: uid, Handle: "clinician", Body: body}
}

func newWorld() *world {
	root := sampleStatement()
	root.IssuedAt, root.Expiry, root.Authority = begin, begin+3600, reads("P1", "write")
	child := Statement{Issuer: "agt_a", Subject: "agt_b", Audience: audURL, ID: "hop_2", IssuedAt: begin + 10, Expiry: begin + 600,
		Mission: "msn_m", Blueprint: "bpr_b", Depth: 2, Confirm: Confirm{JKT: testJKT("summarizer")}, Authority: reads("P1"),
		Nonce: b64.EncodeToString([]byte("0123456789abcdef"))}
	w := &world{origin: "ambit.example/ledger", signer: "log",
		hops: []hopDraft{{root, "clinician", -1}, {child, "assistant", 0}},
		keys: []keyDraft{{"usr_c", "clinician", "ent_0"}, {"agt_a", "assistant", ""}}}
	agent := func(kind, hop, actor, decision string, payload fields) entryDraft {
		d := entryDraft{Leaf: Leaf{Kind: kind, Hop: hop, Actor: actor, Decision: decision, Mission: "msn_m", Origin: "usr_c",
			Run: "run_" + actor[4:], Bound: "dpop"}, payload: payload}
		if kind == "decision" {
			d.Server, d.Action = payload["server"].(string), payload["action"].(string)
		}
		return d
	}
	answers := func(parent string, d entryDraft) entryDraft { d.Parent = parent; return d }
	alien := entryDraft{Leaf: Leaf{Kind: "check", Actor: "wkl_x"}, alien: true}
	w.entries = []entryDraft{
		{Leaf: Leaf{Kind: "change", Actor: "usr_admin", Action: "apply"}, payload: fields{"mutation": "apply", "rows": []Row{userRow("usr_c", "clinician")}}},
		alien,
		{Leaf: Leaf{Kind: "change", Actor: "usr_c", Origin: "usr_c", Mission: "msn_m", Action: "mission.create"},
			payload: fields{"mutation": "start", "rows": []Row{{Kind: "mission", Key: "msn_m", Body: json.RawMessage(`{"id":"msn_m"}`)}}}},
		agent("issue", "hop_1", "agt_a", "allow", fields{"token": fields{"jti": "t1"}, "hop": "hop_1"}),
		agent("decision", "hop_1", "agt_a", "allow", act("read", "P1")),
		answers("ent_4", agent("outcome", "hop_1", "agt_a", "", fields{"status": "ok", "rows": 3})),
		agent("decision", "hop_1", "agt_a", "deny", act("read", "P2")),
		alien,
		agent("issue", "hop_2", "agt_a", "allow", fields{"token": fields{"jti": "t2"}, "hop": "hop_2",
			"rows": []Row{{Kind: "hop", Key: "hop_2", Body: json.RawMessage(`{"id":"hop_2"}`)}}}),
		agent("check", "hop_2", "agt_b", "allow", fields{"method": "initialize"}),
		agent("decision", "hop_2", "agt_b", "allow", act("read", "P1")),
		agent("decision", "hop_2", "agt_b", "deny", act("write", "P1")),
		answers("ent_10", agent("outcome", "hop_2", "agt_b", "", fields{"status": "error"})),
		agent("seal", "", "agt_a", "", nil),
		agent("seal", "", "agt_b", "", nil),
		alien, alien,
	}
	for i := range w.entries {
		l := &w.entries[i].Leaf
		l.ID, l.Time = fmt.Sprintf("ent_%d", i), (begin+20+int64(i))*1_000_000
		l.Tenant, l.Writer, l.Class, l.Boot, l.N, l.V = "ten_1", "w1", "standard", 1, int64(i+1), LeafVersion
		if l.Kind == "seal" {
			w.entries[i].payload = nil
		}
	}
	return w
}

// logKeys returns the signing and verifying key of a log by name.
func logKeys(name, origin string) (skey, vkey string) {
	seed := sha256.Sum256([]byte(name))
	skey, vkey, err := note.GenerateKey(strings.NewReader(string(seed[:])), origin)
	if err != nil {
		panic(err)
	}
	return skey, vkey
}

// seal signs, commits, numbers and sequences everything that an edit did not
// set, and returns the bundle.
func (w *world) seal() Bundle {
	var b Bundle
	commitments := map[string]string{}
	for i, h := range w.hops {
		if h.parent >= 0 && h.Parent == "" {
			h.Parent = Commitment(b.Statements[h.parent])
		}
		claims, err := h.claims()
		if err != nil {
			panic(err)
		}
		compact := signRaw(string(header(testJKT(h.by))), string(claims), testKey(h.by))
		b.Statements = append(b.Statements, compact)
		commitments[w.hops[i].ID] = Commitment(compact)
	}
	for _, k := range w.keys {
		b.Keys = append(b.Keys, Key{UID: k.uid, JWK: testJWK(k.name), Entry: k.entry})
	}
	runs := map[string]int64{}
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, n := range at {
			out[i] = hashes[n]
		}
		return out, nil
	})
	for i, d := range w.entries {
		e := Entry{Leaf: d.Leaf, Salt: sha256.Sum256([]byte(d.ID))}
		switch p := d.payload.(type) {
		case nil:
		case string:
			e.Payload = json.RawMessage(p)
		default:
			e.Payload, _ = json.Marshal(p)
		}
		l := &e.Leaf
		l.Index = int64(i)
		if l.Payload == "" {
			l.Payload = Commit(e.Salt, e.Payload)
		}
		if m, ok := d.payload.(fields); ok && l.Rows == "" && (l.Kind == "change" || l.Kind == "issue") {
			rows, _ := m["rows"].([]Row)
			l.Rows = RowsDigest(rows)
		}
		if l.Hop != "" && l.Delegation == "" && !d.unnamed {
			l.Delegation = commitments[l.Hop]
		}
		if l.Run != "" && l.RunN == 0 {
			runs[l.Run]++
			l.RunN = runs[l.Run]
		}
		more, err := tlog.StoredHashes(int64(i), l.Bytes(), reader)
		if err != nil {
			panic(err)
		}
		hashes = append(hashes, more...)
		if !d.alien {
			b.Entries = append(b.Entries, e)
		}
	}
	size := int64(len(w.entries))
	for i := range b.Entries {
		p, err := tlog.ProveRecord(size, b.Entries[i].Leaf.Index, reader)
		if err != nil {
			panic(err)
		}
		b.Entries[i].Proof = p
	}
	root, _ := tlog.TreeHash(size, reader)
	skey, vkey := logKeys(w.signer, w.origin)
	signer, err := note.NewSigner(skey)
	if err != nil {
		panic(err)
	}
	b.LogKey = vkey
	b.Checkpoint, err = note.Sign(&note.Note{Text: Checkpoint{Origin: w.origin, Size: size, Root: root}.Text()}, signer)
	if err != nil {
		panic(err)
	}
	return b
}
