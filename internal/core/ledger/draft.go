package ledger

import (
	"bytes"
	"strconv"

	"github.com/ambit-iam/ambit/proof"
)

// Draft returns the canonical leaf of e without index and runN, which only the
// sequencer can give, and the base64url SHA-256 of those bytes: the prev of the
// writer's next entry. So a writer chains its entries before their place in the
// log is known. n starts at 1 and has no gaps within (tenant, writer), across
// starts of the writer; prev is "" for the first entry.
//
// It runs twice for every call on the one goroutine that commits, so it uses no
// reflection and allocates little more than what it returns.
func Draft(e Entry, tenant, writer string, boot, n int64, prev, rowsDigest string) (draft []byte, hash string) {
	class := e.Class
	if class == "" {
		class = Standard
	}
	leaf := proof.Leaf{
		Action:     e.Action,
		Actor:      string(e.Actor),
		Binding:    e.Binding,
		Boot:       boot,
		Bound:      e.Bound,
		Class:      class,
		Decision:   e.Decision,
		Delegation: e.Delegation,
		Hop:        string(e.Hop),
		ID:         string(e.ID),
		Inputs:     e.Inputs,
		Kind:       string(e.Kind),
		Mission:    string(e.Mission),
		N:          n,
		Origin:     string(e.Origin),
		Parent:     string(e.Parent),
		Payload:    proof.Commit(e.Salt, e.Payload),
		Pins:       e.Pins,
		Prev:       prev,
		Revision:   e.Revision,
		Rows:       rowsDigest,
		Run:        string(e.Run),
		Server:     string(e.Server),
		Tenant:     tenant,
		Time:       e.Time.UnixMicro(),
		V:          proof.LeafVersion,
		Writer:     writer,
	}
	draft = cut(leaf.Bytes(), indexMember)
	return draft, proof.Hash(draft)
}

const (
	indexMember = `,"index":`
	runMember   = `,"runN":`
)

// Finish returns the bytes of the leaf that draft becomes at its place: exactly
// proof.Leaf.Bytes of the full leaf. runN is 0 for an entry without a run.
func Finish(draft []byte, index, runN int64) []byte {
	b := make([]byte, 0, len(draft)+len(indexMember)+len(runMember)+2*20)
	at := before(draft, `,"inputs":`, `,"kind":`)
	b = append(append(b, draft[:at]...), indexMember...)
	b = strconv.AppendInt(b, index, 10)
	rest := draft[at:]
	if runN != 0 {
		at = before(rest, `,"server":`, `,"tenant":`)
		b = append(append(b, rest[:at]...), runMember...)
		b = strconv.AppendInt(b, runN, 10)
		rest = rest[at:]
	}
	return append(b, rest...)
}

// Unfinish is the inverse of Finish: it returns the draft that leaf, the bytes
// of a leaf, was made from. Its hash is what the writer's next entry names.
func Unfinish(leaf []byte) []byte {
	return cut(cut(bytes.Clone(leaf), indexMember), runMember)
}

// cut removes from b, in place, the number that follows name together with it.
func cut(b []byte, name string) []byte {
	from := bytes.Index(b, []byte(name))
	if from < 0 {
		return b
	}
	to := from + len(name)
	for to < len(b) && b[to] != ',' {
		to++
	}
	return append(b[:from], b[to:]...)
}

// before returns the offset of the first of names that b holds, or len(b). A
// member's name cannot occur inside a string: there its quote is escaped.
func before(b []byte, names ...string) int {
	for _, name := range names {
		if at := bytes.Index(b, []byte(name)); at >= 0 {
			return at
		}
	}
	return len(b)
}

// RowsDigest returns the digest of a commit's rows that its entry's leaf
// carries, "" when there are none.
func RowsDigest(rows []Row) string {
	if len(rows) == 0 {
		return ""
	}
	listed := make([]proof.Row, len(rows))
	for i, r := range rows {
		listed[i] = proof.Row(r)
	}
	return proof.RowsDigest(listed)
}
