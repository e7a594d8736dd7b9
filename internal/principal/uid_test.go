package principal

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMake(t *testing.T) {
	at := time.UnixMilli(0x0123456789ab)
	u := Make(Agent, at, [10]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	if u.Prefix() != Agent || len(u) != 30 {
		t.Fatalf("%q", u)
	}
	if v := Make(Agent, at.Add(time.Millisecond), [10]byte{}); v <= u {
		t.Errorf("%s is not after %s", v, u)
	}
	if got := u.SPIFFE("example.org"); got != "spiffe://example.org/agent/"+string(u) {
		t.Error(got)
	}
	if Make(Hop, at, [10]byte{}).SPIFFE("example.org") != "" {
		t.Error("a hop has a SPIFFE ID")
	}
}

// TestOneSpelling: of all texts that differ in one byte, only uids parse, and
// parsing returns the bytes it was given.
func TestOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e [10]byte
		copy(e[:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "entropy"))
		u := Make(User, time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "ms")), e)
		if got, err := Parse(string(u)); err != nil || got != u {
			t.Fatalf("%q: %v", u, err)
		}
		b := []byte(u)
		i := rapid.IntRange(0, len(b)-1).Draw(t, "i")
		b[i] = rapid.Byte().Draw(t, "b")
		if got, err := Parse(string(b)); err == nil && string(got) != string(b) {
			t.Fatalf("%q became %q", b, got)
		}
		if strings.ContainsAny(string(b[4:]), "ilouABCDEFGHIJKLMNOPQRSTUVWXYZ") && UID(b).Prefix() != "" {
			t.Fatalf("%q parses", b)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("agt_01jd3v7q8x9m2n4p6r8t0v2w4y")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if (err == nil) != (u.Prefix() != "") {
			t.Fatal(s)
		}
	})
}
