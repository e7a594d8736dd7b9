package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxBundle bounds the bytes of an evidence bundle.
const MaxBundle = 256 << 20

// A Bundle is the evidence of one or more missions: what a stranger needs to
// Verify them and nothing of the server's. Its file is written by WriteBundle.
type Bundle struct {
	Checkpoint []byte   // signed note over the tree that Entries are in
	LogKey     string   // verifier key of the log, as the bundle claims it
	Entries    []Entry  // in index order
	Statements []string // compact JWS of every hop, each once
	Keys       []Key    // every key that signed a statement
}

// An Entry is one entry of the ledger with its plain payload.
type Entry struct {
	Leaf Leaf
	// Payload is the exact bytes that the leaf commits to: one JSON value
	// without a line end, nil when there is none.
	Payload json.RawMessage
	Salt    [32]byte
	Proof   tlog.RecordProof // inclusion in the checkpoint's tree (RFC 6962)
}

// A Key says whose a key is, and which entry enrolled it.
type Key struct {
	UID string          // of the user or agent
	JWK json.RawMessage // public and canonical, as PublicJWK writes it
	// Entry is the uid of the entry whose change rows enrolled the key. It is
	// required of a person's key; an agent's is vouched for by the statement
	// that confirms it.
	Entry string
}

// The members of a bundle in the order of the file.
var memberNames = [...]string{"checkpoint", "entries.jsonl", "keys.jsonl", "log.key", "manifest.json", "statements.jsonl"}

// manifestAt is where the manifest stands among memberNames.
const manifestAt = 4

// WriteBundle writes the one encoding of b: a zip archive of stored members in
// a fixed order, with fixed times, so that equal bundles are equal files.
// manifest.json lists the SHA-256 of the other members.
func WriteBundle(w io.Writer, b Bundle) error {
	file, err := b.encode()
	if err != nil {
		return err
	}
	_, err = w.Write(file)
	return err
}

// ReadBundle reads what WriteBundle wrote and nothing else: it encodes what it
// read again and refuses a file that differs from that in any byte. It checks
// form only; Verify checks the evidence. The Bundle shares file's memory.
func ReadBundle(file []byte) (Bundle, error) {
	if len(file) > MaxBundle {
		return Bundle{}, fmt.Errorf("bundle of %d bytes; at most %d", len(file), MaxBundle)
	}
	members, err := unpack(file, memberNames[:])
	if err != nil {
		return Bundle{}, err
	}
	if !bytes.Equal(members[manifestAt], manifest(members)) { // before anything is parsed
		return Bundle{}, errors.New("bundle: a member is not the one that manifest.json lists")
	}
	b := Bundle{Checkpoint: members[0], LogKey: string(bytes.TrimSuffix(members[3], []byte("\n")))}
	if b.Entries, err = decodeLines(members[1], decodeEntry); err != nil {
		return Bundle{}, fmt.Errorf("bundle: entries.jsonl, %w", err)
	}
	if b.Keys, err = decodeLines(members[2], decodeKey); err != nil {
		return Bundle{}, fmt.Errorf("bundle: keys.jsonl, %w", err)
	}
	if b.Statements, err = decodeLines(members[5], func(l []byte) (string, error) { return string(l), nil }); err != nil {
		return Bundle{}, fmt.Errorf("bundle: statements.jsonl, %w", err)
	}
	again, err := b.encode()
	if err != nil {
		return Bundle{}, err
	}
	if !bytes.Equal(again, file) {
		return Bundle{}, errors.New("bundle is not as Ambit wrote it: a byte was changed, added or removed")
	}
	return b, nil
}

func (b Bundle) encode() ([]byte, error) {
	var entries, keys, statements []byte
	var err error
	for i, e := range b.Entries {
		if entries, err = e.append(entries); err != nil {
			return nil, fmt.Errorf("bundle: entry %d: %w", i+1, err)
		}
	}
	for i, k := range b.Keys {
		if keys, err = k.append(keys); err != nil {
			return nil, fmt.Errorf("bundle: key %d: %w", i+1, err)
		}
	}
	for i, s := range b.Statements {
		if s == "" || strings.ContainsAny(s, "\r\n") {
			return nil, fmt.Errorf("bundle: statement %d is not a compact JWS", i+1)
		}
		statements = append(append(statements, s...), '\n')
	}
	members := [len(memberNames)][]byte{b.Checkpoint, entries, keys, []byte(b.LogKey + "\n"), nil, statements}
	members[manifestAt] = manifest(members[:])
	file := pack(memberNames[:], members[:])
	if len(file) > MaxBundle {
		return nil, fmt.Errorf("bundle of %d bytes; at most %d: export fewer missions", len(file), MaxBundle)
	}
	return file, nil
}

// manifest lists the members for a reader with no more than sha256sum.
func manifest(members [][]byte) []byte {
	b := []byte(`{"format":"ambit-evidence","members":{`)
	for i, name := range memberNames {
		if i == manifestAt {
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, ':')
		b = fmt.Appendf(b, `"%x"`, sha256.Sum256(members[i]))
	}
	return append(b, "},\"version\":1}\n"...)
}

// append writes e as one line of canonical order.
func (e Entry) append(b []byte) ([]byte, error) {
	b = append(b, `{"leaf":`...)
	b = append(b, e.Leaf.Bytes()...)
	if e.Payload != nil {
		if !json.Valid(e.Payload) || bytes.ContainsAny(e.Payload, "\r\n") || len(bytes.TrimSpace(e.Payload)) != len(e.Payload) {
			return nil, errors.New("payload is not one JSON value on one line")
		}
		b = append(b, `,"payload":`...)
		b = append(b, e.Payload...)
	}
	b = append(b, `,"proof":[`...)
	for i, h := range e.Proof {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, b64.EncodeToString(h[:]))
	}
	b = append(b, `],"salt":`...)
	b = appendString(b, b64.EncodeToString(e.Salt[:]))
	return append(b, "}\n"...), nil
}

func decodeEntry(line []byte) (Entry, error) {
	var w struct {
		Leaf    json.RawMessage `json:"leaf"`
		Payload json.RawMessage `json:"payload"`
		Proof   []string        `json:"proof"`
		Salt    string          `json:"salt"`
	}
	if err := json.Unmarshal(line, &w); err != nil {
		return Entry{}, err
	}
	leaf, err := ParseLeaf(w.Leaf)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Leaf: leaf, Payload: w.Payload}
	for _, h := range w.Proof {
		hash, err := hash32(h)
		if err != nil {
			return Entry{}, fmt.Errorf("proof: %w", err)
		}
		e.Proof = append(e.Proof, hash)
	}
	if e.Salt, err = hash32(w.Salt); err != nil {
		return Entry{}, fmt.Errorf("salt: %w", err)
	}
	return e, nil
}

func (k Key) append(b []byte) ([]byte, error) {
	if c, err := Canonical(k.JWK); err != nil || !bytes.Equal(c, k.JWK) {
		return nil, fmt.Errorf("key of %s is not canonical JSON", k.UID)
	}
	b = append(b, `{"entry":`...)
	b = appendString(b, k.Entry)
	b = append(b, `,"jwk":`...)
	b = append(b, k.JWK...)
	b = append(b, `,"uid":`...)
	b = appendString(b, k.UID)
	return append(b, "}\n"...), nil
}

func decodeKey(line []byte) (Key, error) {
	m, err := object(line, MaxDepth)
	return Key{UID: text(m["uid"]), JWK: m["jwk"], Entry: text(m["entry"])}, err
}

// decodeLines decodes each line of b; errors name the line.
func decodeLines[T any](b []byte, decode func([]byte) (T, error)) ([]T, error) {
	var all []T
	for n := 1; len(b) > 0; n++ {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("line %d: has no end", n)
		}
		v, err := decode(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all, b = append(all, v), rest
	}
	return all, nil
}

// hash32 decodes 32 bytes of base64url.
func hash32(s string) ([32]byte, error) {
	b, err := decode64(s)
	if err != nil || len(b) != 32 {
		return [32]byte{}, errors.New("not 32 bytes in base64url")
	}
	return [32]byte(b), nil
}
