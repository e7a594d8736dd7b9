package proof

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func writeBundle(t testing.TB, b Bundle) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := WriteBundle(&file, b); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestBundle(t *testing.T) {
	b := newWorld().seal()
	file := writeBundle(t, b)
	got, err := ReadBundle(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Verify(got, Options{}); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(file, writeBundle(t, got)) {
		t.Error("one bundle has two files")
	}
}

// Everybody's unzip must read it, and sha256sum must agree with the manifest.
func TestBundleIsZip(t *testing.T) {
	file := writeBundle(t, newWorld().seal())
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Format  string
		Members map[string]string
		Version int
	}
	contents := map[string][]byte{}
	for i, f := range r.File {
		if f.Name != memberNames[i] || f.Method != zip.Store || f.Mode() != 0o644 || f.Modified.Year() != 1980 {
			t.Errorf("member %d: %s, method %d, %v, %v", i, f.Name, f.Method, f.Mode(), f.Modified)
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if contents[f.Name], err = io.ReadAll(in); err != nil { // checks the CRC
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(contents["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Format != "ambit-evidence" || manifest.Version != 1 || len(manifest.Members) != len(memberNames)-1 {
		t.Errorf("manifest %+v", manifest)
	}
	for name, sum := range manifest.Members {
		if want := fmt.Sprintf("%x", sha(contents[name])); sum != want {
			t.Errorf("%s: %s, want %s", name, sum, want)
		}
	}
}

func sha(b []byte) []byte {
	sum, _ := b64.DecodeString(Hash(b))
	return sum
}

// No byte of the file can change without the file being refused.
func TestBundleEveryByte(t *testing.T) {
	file := writeBundle(t, newWorld().seal())
	for i := range file {
		for _, flip := range []byte{0x01, 0x20, 0x80} {
			file[i] ^= flip
			if _, err := ReadBundle(file); err == nil {
				t.Errorf("accepted with bit %#x of byte %d flipped", flip, i)
			}
			file[i] ^= flip
		}
	}
	for _, n := range []int{0, 1, 29, 30, 100, len(file) / 2, len(file) - 1} {
		if _, err := ReadBundle(file[:n]); err == nil {
			t.Errorf("accepted the first %d bytes", n)
		}
	}
	if _, err := ReadBundle(append(file, 0)); err == nil {
		t.Error("accepted a byte more")
	}
}

// Nor can a byte of what is in it, when whoever changed it packs it again with
// a manifest that fits.
func TestBundleEveryByteRepacked(t *testing.T) {
	const stride = 23 // every byte (1) takes a minute

	whole, err := unpack(writeBundle(t, newWorld().seal()), memberNames[:])
	if err != nil {
		t.Fatal(err)
	}
	tried, read := 0, 0
	for m := range whole {
		if m == manifestAt {
			continue
		}
		for i := m; i < len(whole[m]); i += stride {
			for _, flip := range []byte{0x01, 0x20} {
				members := append([][]byte(nil), whole...)
				members[m] = bytes.Clone(whole[m])
				members[m][i] ^= flip
				members[manifestAt] = manifest(members)
				tried++
				b, err := ReadBundle(pack(memberNames[:], members))
				if err != nil {
					continue
				}
				read++
				if _, err := Verify(b, Options{}); err == nil {
					t.Errorf("%s: accepted with bit %#x of byte %d flipped, near %.40q", memberNames[m], flip, i, members[m][max(0, i-20):])
				}
			}
		}
	}
	if read == 0 || read == tried {
		t.Errorf("%d of %d changes reached Verify; want some of each", read, tried)
	}
}

func TestWriteBundleRefuses(t *testing.T) {
	for name, edit := range map[string]func(*Bundle){
		"payload of two lines": func(b *Bundle) { b.Entries[0].Payload = json.RawMessage("{\n}") },
		"payload no JSON":      func(b *Bundle) { b.Entries[0].Payload = json.RawMessage(`{`) },
		"payload with space":   func(b *Bundle) { b.Entries[0].Payload = json.RawMessage(`{} `) },
		"empty payload":        func(b *Bundle) { b.Entries[0].Payload = json.RawMessage{} },
		"empty statement":      func(b *Bundle) { b.Statements[0] = "" },
		"two statements":       func(b *Bundle) { b.Statements[0] += "\nx" },
		"key not canonical":    func(b *Bundle) { b.Keys[0].JWK = json.RawMessage(`{"b":1,"a":2}`) },
	} {
		b := newWorld().seal()
		edit(&b)
		if err := WriteBundle(io.Discard, b); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestReadBundleRefuses(t *testing.T) {
	whole, err := unpack(writeBundle(t, newWorld().seal()), memberNames[:])
	if err != nil {
		t.Fatal(err)
	}
	file := func(member int, edit func(string) string) []byte {
		members := append([][]byte(nil), whole...)
		members[member] = []byte(edit(string(members[member])))
		members[manifestAt] = manifest(members)
		return pack(memberNames[:], members)
	}
	replace := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("no %s in %s", old, s)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	names := memberNames
	names[0] = "Checkpoint"
	for name, in := range map[string][]byte{
		"other names":          pack(names[:], whole),
		"a member less":        pack(memberNames[:5], whole[:5]),
		"no last line end":     file(1, func(s string) string { return strings.TrimSuffix(s, "\n") }),
		"empty line":           file(1, func(s string) string { return s + "\n" }),
		"space in a line":      file(1, replace(`"salt":`, `"salt": `)),
		"unknown member":       file(1, replace(`"salt":`, `"Salt":`)),
		"extra member":         file(1, replace(`"salt":`, `"note":1,"salt":`)),
		"leaf twice":           file(1, replace(`{"leaf":`, `{"leaf":{},"leaf":`)),
		"proof of odd length":  file(1, replace(`"proof":["`, `"proof":["AA`)),
		"key with member":      file(2, replace(`"uid":`, `"use":1,"uid":`)),
		"key no object":        file(2, func(string) string { return "[]\n" }),
		"log key of two lines": file(3, func(s string) string { return s + "\n" }),
		"empty statement":      file(5, func(s string) string { return "\n" + s }),
	} {
		if _, err := ReadBundle(in); err == nil {
			if b, _ := ReadBundle(in); name == "log key of two lines" {
				if _, err := Verify(b, Options{}); err != nil {
					continue // well formed, and no key
				}
			}
			t.Errorf("%s: read", name)
		}
	}
}

// The members are fuzzed behind a manifest that fits them, the file as it is.
func FuzzReadBundle(f *testing.F) {
	w := newWorld()
	add := func(b Bundle) {
		file := writeBundle(f, b)
		m, err := unpack(file, memberNames[:])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file, m[0], m[1], m[2], m[3], m[5])
	}
	add(Bundle{})
	w.entries = w.entries[:4]
	add(w.seal())
	f.Fuzz(func(t *testing.T, file, checkpoint, entries, keys, logKey, statements []byte) {
		members := [][]byte{checkpoint, entries, keys, logKey, nil, statements}
		members[manifestAt] = manifest(members)
		for _, in := range [][]byte{file, pack(memberNames[:], members)} {
			b, err := ReadBundle(in)
			if err != nil {
				continue
			}
			if !bytes.Equal(writeBundle(t, b), in) {
				t.Fatal("read a file that is not written so")
			}
			_, _ = Verify(b, Options{}) // must return
		}
	})
}
