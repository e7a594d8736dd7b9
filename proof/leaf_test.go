package proof

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func sampleLeaf() Leaf {
	return Leaf{Action: "read", Actor: "agt_a", Boot: 1, Bound: "dpop", Class: "standard", Decision: "allow",
		Delegation: Hash([]byte("d")), Hop: "hop_1", ID: "ent_1", Index: 7, Kind: "decision", Mission: "msn_1", N: 3,
		Origin: "usr_c", Payload: Hash([]byte("p")), Pins: Hash([]byte("x")), Prev: Hash([]byte("y")), Revision: 12,
		Run: "run_1", RunN: 2, Server: "srv_1", Tenant: "ten_1", Time: 1_793_000_000_000_000, V: LeafVersion, Writer: "w1"}
}

// The hand-written encoder must agree with encoding/json and Canonical on
// every member, whatever is in it.
func TestLeafBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Leaf
		v := reflect.ValueOf(&l).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.String:
				f.SetString(rapid.StringN(0, 12, -1).Draw(t, v.Type().Field(i).Name))
			default:
				f.SetInt(rapid.Int64Range(0, 1<<48).Draw(t, v.Type().Field(i).Name))
			}
		}
		plain, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Canonical(plain)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Bytes(); !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		if back, err := ParseLeaf(l.Bytes()); err == nil && back != l {
			t.Fatalf("came back as %+v", back)
		}
	})
}

func TestLeafVector(t *testing.T) {
	const want = `{"action":"read","actor":"agt_a","boot":1,"bound":"dpop","class":"standard","decision":"allow",` +
		`"delegation":"GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ","hop":"hop_1","id":"ent_1","index":7,"kind":"decision",` +
		`"mission":"msn_1","n":3,"origin":"usr_c","payload":"FI3pxaekTRnlbNmuGlVL9nhHr7DFj24S-imsfd_KmUA",` +
		`"pins":"LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE","prev":"ofzkNjhU_4iM_0uOeHXWAMJoI5BBKoz3mzfQsRFIsPo",` +
		`"revision":12,"run":"run_1","runN":2,"server":"srv_1","tenant":"ten_1","time":1793000000000000,"v":1,"writer":"w1"}`
	l := sampleLeaf()
	if got := string(l.Bytes()); got != want {
		t.Errorf("the format of the leaf changed:\ngot  %s\nwant %s", got, want)
	}
	back, err := ParseLeaf(l.Bytes())
	if err != nil || back != l {
		t.Errorf("got %+v, %v", back, err)
	}
}

func TestParseLeafRefuses(t *testing.T) {
	good := string(sampleLeaf().Bytes())
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, in := range map[string]string{
		"space":           edit(`,"actor"`, `, "actor"`),
		"order":           edit(`"action":"read","actor":"agt_a"`, `"actor":"agt_a","action":"read"`),
		"unknown member":  edit(`"boot"`, `"bonus":1,"boot"`),
		"repeated member": edit(`"boot":1`, `"boot":1,"boot":1`),
		"case":            edit(`"actor"`, `"Actor"`),
		"escape":          edit(`"read"`, `"re\u0061d"`),
		"empty member":    edit(`"kind"`, `"inputs":"","kind"`),
		"null":            edit(`"agt_a"`, `null`),
		"no actor":        edit(`"agt_a"`, `""`),
		"no id":           edit(`"ent_1"`, `""`),
		"other version":   edit(`"v":1`, `"v":2`),
		"negative index":  edit(`"index":7`, `"index":-1`),
		"no index":        edit(`"index":7,`, ``),
		"great number":    edit(`"n":3`, `"n":9007199254740992`),
		"float":           edit(`"n":3`, `"n":3.0`),
		"no counter":      edit(`,"runN":2`, ``),
		"no run":          edit(`"run":"run_1",`, ``),
		"bytes after":     good + " ",
		"array":           "[" + good + "]",
		"too long":        edit(`"read"`, `"`+strings.Repeat("x", MaxLeaf)+`"`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseLeaf([]byte(in)); err == nil {
				t.Errorf("accepted %.300s", in)
			}
		})
	}
}

func FuzzParseLeaf(f *testing.F) {
	f.Add(sampleLeaf().Bytes())
	f.Add([]byte(`{"actor":"a","boot":0}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := ParseLeaf(in)
		if err != nil {
			return
		}
		if !bytes.Equal(l.Bytes(), in) {
			t.Fatalf("%q parses to a leaf of other bytes", in)
		}
		if c, err := Canonical(in); err != nil || !bytes.Equal(c, in) {
			t.Fatalf("%q is not canonical: %v", in, err)
		}
	})
}

func BenchmarkLeafBytes(b *testing.B) {
	l := sampleLeaf()
	b.ReportAllocs()
	for b.Loop() {
		l.Bytes()
	}
}
