package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalVectors(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		// RFC 8785 section 3.2.2 to 3.2.4.
		{"rfc example", `{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`, `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`},
		// RFC 8785 section 3.2.3: order by UTF-16 code units.
		{"rfc order", `{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}"},
		{"nested order", `[56,{"d":true,"10":null,"1":[]}]`, `[56,{"1":[],"10":null,"d":true}]`},
		{"nested objects", `{"b":{"y":1,"x":{"q":2,"p":[{"l":1,"k":2}]}},"a":{}}`, `{"a":{},"b":{"x":{"p":[{"k":2,"l":1}],"q":2},"y":1}}`},
		{"unescaped", `"\u007f\u2028<>&\ud834\udd1e"`, "\"\u007f\u2028<>&𝄞\""},
		{"controls", `"\u0000\u0008\u0009\u000a\u000b\u000c\u000d\u001F"`, `"\u0000\b\t\n\u000b\f\r\u001f"`},
		{"space", " [ 1 , 2 ] \n", `[1,2]`},
		{"empty key", `{"":1,"a":{"":2}}`, `{"":1,"a":{"":2}}`},
		{"minus zero", `[-0,-0.0,0e5]`, `[0,0,0]`},
		{"great canonical integer", `18446744073709552000`, `18446744073709552000`},
		{"exact great integer", `9223372036854775808`, `9223372036854776000`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Canonical([]byte(c.in))
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

// RFC 8785 appendix B.
func TestCanonicalNumbers(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0",
		0x8000000000000000: "0",
		0x0000000000000001: "5e-324",
		0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308",
		0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992",
		0xc340000000000000: "-9007199254740992",
		0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23",
		0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef4f: "999999999999999900000",
		0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		f := math.Float64frombits(bits)
		for _, format := range []byte{'e', 'g'} {
			got, err := Canonical(strconv.AppendFloat(nil, f, format, -1, 64))
			if err != nil || string(got) != want {
				t.Errorf("%016x: got %s, %v; want %s", bits, got, err, want)
			}
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	for name, in := range map[string]string{
		"nothing":            ``,
		"two values":         `{} {}`,
		"bytes after":        `1x`,
		"duplicate":          `{"a":1,"b":2,"a":3}`,
		"escaped duplicate":  `{"a":1,"\u0061":2}`,
		"nested duplicate":   `[{"x":{"é":1,"\u00e9":1}}]`,
		"invalid UTF-8":      "\"\xff\"",
		"overlong":           "\"\xc0\x80\"",
		"raw surrogate":      "\"\xed\xa0\x80\"",
		"lone high":          `"\ud800"`,
		"high and no low":    `"\ud800\u0041"`,
		"lone low":           `"\udc00"`,
		"bad escape":         `"\x"`,
		"short escape":       `"\u12"`,
		"raw control":        "\"\n\"",
		"open string":        `"a`,
		"leading zero":       `01`,
		"plus":               `+1`,
		"no fraction":        `1.`,
		"no integer":         `.5`,
		"no exponent":        `1e`,
		"minus":              `-`,
		"NaN":                `NaN`,
		"infinity":           `Infinity`,
		"too great":          `1e400`,
		"rounded integer":    `9007199254740993`,
		"rounded negative":   `{"id":-9007199254740993}`,
		"trailing comma":     `[1,]`,
		"object comma":       `{"a":1,}`,
		"leading comma":      `{,"a":1}`,
		"no colon":           `{"a" 1}`,
		"unquoted":           `{a:1}`,
		"comment":            `/**/1`,
		"byte order mark":    "\ufeff1",
		"unclosed":           `[[1]`,
		"mismatched":         `[1}`,
		"capital":            `True`,
		"too deep":           deep,
		"form feed as space": "\f1",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Canonical([]byte(in)); err == nil {
				t.Errorf("accepted %q as %q", in, got)
			}
		})
	}
	if _, err := Canonical([]byte(deep[1 : len(deep)-1])); err != nil {
		t.Errorf("refused %d levels: %v", MaxDepth, err)
	}
}

// Whatever spelling a value has, its canonical form is one, means the same and
// is its own canonical form.
func TestCanonicalProperties(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		kinds := []*rapid.Generator[any]{rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
			rapid.Map(rapid.Float64Range(-1e300, 1e300), func(f float64) any { return f + 0 }), // no -0
			rapid.Int32().AsAny()}
		if depth > 0 {
			kinds = append(kinds, rapid.SliceOfN(value(depth-1), 0, 4).AsAny(),
				rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).AsAny())
		}
		return rapid.OneOf(kinds...)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := value(3).Draw(t, "value")
		plain, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		spaced, _ := json.MarshalIndent(v, " ", "\t")
		a, err := Canonical(plain)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := Canonical(spaced); err != nil || !bytes.Equal(a, b) {
			t.Fatalf("spelling matters: %s, %s, %v", a, b, err)
		}
		if b, err := Canonical(a); err != nil || !bytes.Equal(a, b) {
			t.Fatalf("not a fixed point: %s, %s, %v", a, b, err)
		}
		var was, is any
		if json.Unmarshal(plain, &was) != nil || json.Unmarshal(a, &is) != nil {
			t.Fatalf("%s is not JSON", a)
		}
		x, _ := json.Marshal(was)
		y, _ := json.Marshal(is)
		if !bytes.Equal(x, y) {
			t.Fatalf("meaning changed: %s, %s", x, y)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.50,{"é":null}],"a":"\ud83d\ude00\n"}`, `-0.0e-7`, `18446744073709551616`, `{"a":1,"\u0061":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := Canonical(in)
		if err != nil {
			return
		}
		if !json.Valid(in) || !json.Valid(out) {
			t.Fatalf("%q → %q is not JSON", in, out)
		}
		if again, err := Canonical(out); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q → %q → %q, %v", in, out, again, err)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	in := []byte(`{"patient":"P1","kind":"labs","limit":20,"filter":{"to":"2026-11-02","from":"2026-11-01"}}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Canonical(in); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHashAndCommit(t *testing.T) {
	if got := Hash([]byte("abc")); got != "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0" { // FIPS 180-2 B.1
		t.Errorf("Hash: %s", got)
	}
	// RFC 4231 test case 1, whose key of 20 bytes is padded with zeros as ours is.
	var key [32]byte
	copy(key[:], bytes.Repeat([]byte{0x0b}, 20))
	want, _ := hex.DecodeString("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
	if got := Commit(key, []byte("Hi There")); got != b64.EncodeToString(want) {
		t.Errorf("Commit: %s", got)
	}
}

func TestRowsDigest(t *testing.T) {
	row := Row{Kind: "user", Key: "usr_1", Body: json.RawMessage(`{"b":1, "a":"<&>", "max":9223372036854775807}`)}
	same := row
	same.Body = json.RawMessage(`{"a":"\u003c&>","max":9223372036854775807,"b":1.0}`)
	if RowsDigest([]Row{row}) == "" || RowsDigest([]Row{row}) != RowsDigest([]Row{same}) {
		t.Error("the digest depends on spelling")
	}
	gone := row
	gone.Body = nil
	for name, rows := range map[string][]Row{"other body": {gone}, "twice": {row, row}, "none": nil} {
		if RowsDigest(rows) == RowsDigest([]Row{row}) {
			t.Errorf("%s: same digest", name)
		}
	}
	if RowsDigest([]Row{{Kind: "user", Body: json.RawMessage(`{`)}}) != "" {
		t.Error("malformed rows have a digest")
	}
}
