package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// LeafVersion is the V of every leaf that this package reads.
const LeafVersion = 1

// MaxLeaf bounds the bytes of a leaf (C2SP tlog-tiles: an entry has a length of
// 16 bits).
const MaxLeaf = 1<<16 - 1

// maxInteger is the greatest integer that JSON carries without loss everywhere.
const maxInteger = 1<<53 - 1

// A Leaf is what the Merkle tree holds of one entry: pseudonymous, canonical
// and complete enough to be checked alone. It carries uids, names of actions
// and hashes; never a name, an argument or a resource id in plain form. Those
// are in the payload, to which Payload commits with a salt, so that the payload
// can be destroyed and the proof survives.
//
// Its bytes are the RFC 8785 (JCS) form of its JSON: members sorted by name, no
// space, empty members absent. Times are microseconds since the Unix epoch, UTC.
// Hashes are base64url without padding, of SHA-256.
type Leaf struct {
	Action     string `json:"action,omitempty"`     // mcp tool name, or the management action
	Actor      string `json:"actor"`                // uid of who acted
	Binding    string `json:"binding,omitempty"`    // "link N stage", for a deny or challenge
	Boot       int64  `json:"boot"`                 // which start of the writer
	Bound      string `json:"bound,omitempty"`      // how the presenter held its key: "dpop", "bearer", "jws"
	Class      string `json:"class"`                // retention class
	Decision   string `json:"decision,omitempty"`   // allow, deny, challenge
	Delegation string `json:"delegation,omitempty"` // commitment of the acting hop's statement
	Hop        string `json:"hop,omitempty"`
	ID         string `json:"id"`
	Index      int64  `json:"index"`            // position in the log; assigned by the sequencer
	Inputs     string `json:"inputs,omitempty"` // hash of the volatile inputs the decision was made of
	Kind       string `json:"kind"`             // decision, outcome, change, issue, check, list, seal
	Mission    string `json:"mission,omitempty"`
	N          int64  `json:"n"`                // position in the writer's order
	Origin     string `json:"origin,omitempty"` // uid of the person whose intent began it
	Parent     string `json:"parent,omitempty"` // entry that this one answers: an outcome's decision
	Payload    string `json:"payload"`          // salted commitment to the payload
	Pins       string `json:"pins,omitempty"`   // hash over revision, model, policies and mapping
	Prev       string `json:"prev"`             // hash of the writer's previous entry
	Revision   int64  `json:"revision"`         // store revision that was decided at
	Rows       string `json:"rows,omitempty"`   // digest of the change rows committed with this entry
	Run        string `json:"run,omitempty"`
	RunN       int64  `json:"runN,omitempty"` // gapless counter within the run; assigned by the sequencer
	Server     string `json:"server,omitempty"`
	Tenant     string `json:"tenant"`
	Time       int64  `json:"time"`
	V          int    `json:"v"`
	Writer     string `json:"writer"`
}

// Bytes returns the canonical bytes of l, which the Merkle tree hashes. It is
// total: what is not UTF-8 becomes U+FFFD. ParseLeaf decides what is a leaf.
func (l Leaf) Bytes() []byte {
	w := leafWriter{b: make([]byte, 1, 1024)}
	w.b[0] = '{'
	w.optional("action", l.Action)
	w.text("actor", l.Actor)
	w.optional("binding", l.Binding)
	w.number("boot", l.Boot)
	w.optional("bound", l.Bound)
	w.text("class", l.Class)
	w.optional("decision", l.Decision)
	w.optional("delegation", l.Delegation)
	w.optional("hop", l.Hop)
	w.text("id", l.ID)
	w.number("index", l.Index)
	w.optional("inputs", l.Inputs)
	w.text("kind", l.Kind)
	w.optional("mission", l.Mission)
	w.number("n", l.N)
	w.optional("origin", l.Origin)
	w.optional("parent", l.Parent)
	w.text("payload", l.Payload)
	w.optional("pins", l.Pins)
	w.text("prev", l.Prev)
	w.number("revision", l.Revision)
	w.optional("rows", l.Rows)
	w.optional("run", l.Run)
	if l.RunN != 0 {
		w.number("runN", l.RunN)
	}
	w.optional("server", l.Server)
	w.text("tenant", l.Tenant)
	w.number("time", l.Time)
	w.number("v", int64(l.V))
	w.text("writer", l.Writer)
	return append(w.b, '}')
}

// A leafWriter appends members. encoding/json and a sort would do the same at
// ten times the cost, twice in every call that Ambit lets through.
type leafWriter struct{ b []byte }

func (w *leafWriter) name(name string) {
	if len(w.b) > 1 {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *leafWriter) text(name, v string) {
	w.name(name)
	for i := range len(v) {
		if c := v[i]; c < 0x20 || c >= 0x80 || c == '"' || c == '\\' { // hardly ever
			w.b = appendString(w.b, strings.ToValidUTF8(v, "\uFFFD"))
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, v...)
	w.b = append(w.b, '"')
}

func (w *leafWriter) optional(name, v string) {
	if v != "" {
		w.text(name, v)
	}
}

func (w *leafWriter) number(name string, v int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

// ParseLeaf parses the canonical bytes of a sequenced leaf. Every other
// spelling, an unknown member or version, and a leaf without what each must
// have are refused: b and the Leaf determine each other.
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) > MaxLeaf {
		return Leaf{}, fmt.Errorf("leaf of %d bytes; at most %d", len(b), MaxLeaf)
	}
	var l Leaf
	if err := json.Unmarshal(b, &l); err != nil {
		return Leaf{}, fmt.Errorf("leaf: %w", err)
	}
	if !bytes.Equal(l.Bytes(), b) {
		return Leaf{}, errors.New("leaf is not in canonical form, or has a member that this version does not know")
	}
	if l.V != LeafVersion {
		return Leaf{}, fmt.Errorf("leaf of version %d; this program reads version %d", l.V, LeafVersion)
	}
	for _, m := range [...]struct{ name, v string }{{"actor", l.Actor}, {"id", l.ID}, {"kind", l.Kind},
		{"payload", l.Payload}, {"tenant", l.Tenant}, {"writer", l.Writer}} {
		if m.v == "" {
			return Leaf{}, fmt.Errorf("leaf without %s", m.name)
		}
	}
	for _, n := range [...]int64{l.Boot, l.Index, l.N, l.Revision, l.RunN, l.Time} {
		if n < 0 || n > maxInteger {
			return Leaf{}, fmt.Errorf("leaf with the number %d; want 0 to 2⁵³-1", n)
		}
	}
	if (l.Run == "") != (l.RunN == 0) {
		return Leaf{}, errors.New("leaf with a run and no counter, or a counter and no run")
	}
	return l, nil
}
