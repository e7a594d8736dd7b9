package proof

import (
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Verify checks everything that b claims and explains what does not hold:
//
//   - the checkpoint is signed by the log's key and is of the issuer's log;
//   - every entry is in that log, and its payload and change rows are what its
//     leaf commits to;
//   - the entries of every run are numbered without a gap from 1;
//   - every statement is signed: a root by a person's key that an earlier entry
//     enrolled, a child by the key its parent confirms; and is narrower than
//     its parent in authority, limits, time and depth;
//   - every entry under a hop names that hop's statement, its mission and its
//     origin, and whatever was allowed was allowed while every hop held;
//   - the arguments of every allowed call are inside every authority of its chain;
//   - every outcome answers one allowed decision, and none is answered twice.
//
// It returns an error exactly when Problems is not empty, and it is total: no
// bundle makes it panic. Without a valid checkpoint nothing else is looked at.
func Verify(b Bundle, opts Options) (Report, error) {
	v := &verifier{bundle: b, ids: map[string]int{}, hops: map[string]*link{},
		keys: map[signer]*signingKey{}, enrolments: map[string][]enrolment{}}
	v.report.Entries = len(b.Entries)
	if !v.log(opts) {
		return v.report, v.report.err()
	}
	v.payloads = make([]map[string]json.RawMessage, len(b.Entries))
	for i := range b.Entries {
		v.entry(i)
	}
	v.signers()
	v.statements()
	v.delegated()
	v.signatures()
	v.runs()
	v.outcomes()
	return v.report, v.report.err()
}

// A verifier holds one verification under way.
type verifier struct {
	bundle     Bundle
	report     Report
	checkpoint Checkpoint
	ids        map[string]int               // entry uid → position
	payloads   []map[string]json.RawMessage // by position; nil when not an object
	hops       map[string]*link             // by hop uid
	roots      []*link
	keys       map[signer]*signingKey
	enrolments map[string][]enrolment // by uid, in index order
}

// An enrolment is what an entry's change rows say the keys of somebody are.
type enrolment struct {
	at   int // position of the entry
	keys map[string]string
}

// fail reports a failed check.
func (v *verifier) fail(format string, args ...any) {
	v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
}

// failAt reports a failed check of the entry at position i.
func (v *verifier) failAt(i int, format string, args ...any) {
	v.fail("entry %d: %s", v.bundle.Entries[i].Leaf.Index, fmt.Sprintf(format, args...))
}

// log verifies the checkpoint, under which everything else stands.
func (v *verifier) log(opts Options) bool {
	r := &v.report
	r.LogKey, r.LogKeyPinned = v.bundle.LogKey, opts.LogKey != ""
	if r.LogKeyPinned && opts.LogKey != r.LogKey {
		v.fail("the bundle names the log key %.80q; %.80q is expected", v.bundle.LogKey, opts.LogKey)
		return false
	}
	c, err := OpenCheckpoint(v.bundle.Checkpoint, r.LogKey)
	if err != nil {
		v.fail("%v", err)
		return false
	}
	v.checkpoint, r.Log, r.Size = c, c.Origin, c.Size
	if len(v.bundle.Entries) == 0 {
		v.fail("the bundle has no entries")
	}
	return true
}

// kinds are the kinds of entry (SEMANTICS section 6). An action that hid behind
// an unknown one would escape every check below.
var kinds = [...]string{"decision", "outcome", "change", "issue", "check", "list", "seal"}

// entry verifies what can be said of the entry at position i alone.
func (v *verifier) entry(i int) {
	e := v.bundle.Entries[i]
	l := e.Leaf
	leaf := l.Bytes()
	if again, err := ParseLeaf(leaf); err != nil || again != l {
		v.failAt(i, "malformed leaf: %v", err)
		return
	}
	if !slices.Contains(kinds[:], l.Kind) {
		v.failAt(i, "kind %.40q is not known", l.Kind)
	}
	if i > 0 {
		if before := v.bundle.Entries[i-1].Leaf; before.Index >= l.Index {
			v.failAt(i, "stands after entry %d", before.Index)
		}
		if first := v.bundle.Entries[0].Leaf; first.Tenant != l.Tenant {
			v.failAt(i, "is of tenant %s, others of %s", l.Tenant, first.Tenant)
		}
	}
	if _, twice := v.ids[l.ID]; twice {
		v.failAt(i, "another entry has its id %s", l.ID)
	}
	v.ids[l.ID] = i
	if err := tlog.CheckRecord(e.Proof, v.checkpoint.Size, v.checkpoint.Root, l.Index, tlog.RecordHash(leaf)); err != nil {
		v.failAt(i, "is not proved to be in the log: %v", err)
	}
	if Commit(e.Salt, e.Payload) != l.Payload {
		v.failAt(i, "the payload is not what the leaf commits to")
		return
	}
	if e.Payload != nil {
		p, err := object(e.Payload, payloadDepth)
		if err != nil {
			v.failAt(i, "payload: %v", err)
			return
		}
		v.payloads[i] = p
	}
	v.rows(i)
}

// rows verifies the digest of an entry's change rows and notes whose keys they
// enrol.
func (v *verifier) rows(i int) {
	l := v.bundle.Entries[i].Leaf
	if l.Rows == "" && l.Kind != "change" && l.Kind != "issue" {
		return // rows may then mean something else, such as a count
	}
	var rows []Row
	if raw := v.payloads[i]["rows"]; raw != nil {
		if err := json.Unmarshal(raw, &rows); err != nil {
			v.failAt(i, "payload: rows: %v", err)
			return
		}
	}
	if RowsDigest(rows) != l.Rows {
		v.failAt(i, "its change rows are not those the leaf commits to")
		return
	}
	for _, r := range rows {
		if r.Kind != "user" && r.Kind != "agent" {
			continue
		}
		n := enrolment{at: i, keys: map[string]string{}}
		body, _ := object(r.Body, payloadDepth) // a row without a body enrols nothing
		var keys []json.RawMessage
		_ = json.Unmarshal(body["keys"], &keys)
		for _, raw := range keys {
			key, _ := object(raw, payloadDepth)
			n.keys[text(key["jkt"])] = text(key["evidence"])
		}
		v.enrolments[r.Key] = append(v.enrolments[r.Key], n)
	}
}

// runs verifies that no entry of any run is missing.
func (v *verifier) runs() {
	type run struct {
		last    int64
		mission string
		sealed  bool
	}
	runs := map[string]*run{}
	for i, e := range v.bundle.Entries {
		l := e.Leaf
		if l.Run == "" {
			if l.Hop != "" && (l.Kind == "decision" || l.Kind == "outcome") {
				v.failAt(i, "an action under a hop is in no run, so that its absence could not be seen")
			}
			continue
		}
		r := runs[l.Run]
		if r == nil {
			r = &run{mission: l.Mission}
			runs[l.Run] = r
		}
		switch {
		case l.RunN != r.last+1:
			v.failAt(i, "is number %d of run %s, after number %d: entries are missing or out of order", l.RunN, l.Run, r.last)
		case l.Mission != r.mission:
			v.failAt(i, "run %s is of mission %s, not %s", l.Run, r.mission, l.Mission)
		case r.sealed:
			v.failAt(i, "follows the end of run %s", l.Run)
		}
		r.last, r.sealed = l.RunN, l.Kind == "seal"
	}
	v.report.Runs = len(runs)
	for _, r := range runs {
		if !r.sealed {
			v.report.Open++
		}
	}
}

// outcomes pairs decisions with what came of them.
func (v *verifier) outcomes() {
	answered := map[string]bool{}
	for i, e := range v.bundle.Entries {
		l := e.Leaf
		if l.Kind != "outcome" {
			continue
		}
		at, ok := v.ids[l.Parent]
		if !ok {
			v.failAt(i, "is the outcome of %.40q, which is not here", l.Parent)
			continue
		}
		d := v.bundle.Entries[at].Leaf
		switch {
		case d.Kind != "decision" || d.Decision != "allow":
			v.failAt(i, "is the outcome of entry %d, which allowed nothing", d.Index)
		case d.Index >= l.Index:
			v.failAt(i, "is the outcome of entry %d, which came later", d.Index)
		case d.Hop != l.Hop || d.Mission != l.Mission || d.Actor != l.Actor || d.Run != l.Run:
			v.failAt(i, "is the outcome of entry %d, which another hop, run or actor made", d.Index)
		case answered[l.Parent]:
			v.failAt(i, "is a second outcome of entry %d", d.Index)
		}
		answered[l.Parent] = true
	}
	for _, e := range v.bundle.Entries {
		if l := e.Leaf; l.Kind == "decision" && l.Decision == "allow" && !answered[l.ID] {
			v.report.Unknown++
		}
	}
}
