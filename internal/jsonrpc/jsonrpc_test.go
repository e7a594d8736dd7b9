package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	nest := func(n int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
	}
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	tests := []struct {
		name, frame string
		code        int // 0 when accepted
		id          string
	}{
		{"request", `{"jsonrpc":"2.0","id":1,"method":"m","params":{}}`, 0, ""},
		{"string id", ` {"jsonrpc":"2.0","id":"a\u0062","method":"m"} ` + "\r\n", 0, ""},
		{"notification", `{"method":"notifications/x","jsonrpc":"2.0"}`, 0, ""},
		{"response", `{"jsonrpc":"2.0","id":1,"result":{}}`, 0, ""},
		{"escaped member name", `{"jsonrpc":"2.0","id":1,"\u006dethod":"m"}`, 0, ""},
		{"surrogate pair", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"\ud83d\ude00"}}`, 0, ""},
		{"depth 64", nest(62), 0, ""},
		{"depth 65", nest(63), ParseError, ""},
		{"empty", ``, ParseError, ""},
		{"scalar", `1`, ParseError, ""},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"m"}]`, InvalidRequest, ""},
		{"byte order mark", "\ufeff" + `{"jsonrpc":"2.0","id":1,"method":"m"}`, ParseError, ""},
		{"invalid UTF-8", `{"jsonrpc":"2.0","id":1,"method":"` + "\xff" + `"}`, ParseError, ""},
		{"overlong UTF-8", `{"jsonrpc":"2.0","id":1,"method":"` + "\xc0\xaf" + `"}`, ParseError, ""},
		{"trailing bytes", `{"jsonrpc":"2.0","id":1,"method":"m"}{}`, ParseError, ""},
		{"trailing NUL", `{"jsonrpc":"2.0","id":1,"method":"m"}` + "\x00", ParseError, ""},
		{"trailing comma", `{"jsonrpc":"2.0","id":1,"method":"m",}`, ParseError, ""},
		{"duplicate member", `{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}`, ParseError, ""},
		{"duplicate by escape", `{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}`, ParseError, ""},
		{"deep duplicate", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[{"x":1,"y":{},"\u0078":2}]}}`, ParseError, ""},
		{"duplicate among many", `{"jsonrpc":"2.0","id":1,"method":"m","params":{` + many.String() + `"k3":1}}`, ParseError, ""},
		{"many keys", `{"jsonrpc":"2.0","id":1,"method":"m","params":{` + many.String() + `"z":{"k1":1}}}`, 0, ""},
		{"lone surrogate", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"\ud83d"}}`, ParseError, ""},
		{"control character", `{"jsonrpc":"2.0","id":1,"method":"a` + "\n" + `"}`, ParseError, ""},
		{"leading zero", `{"jsonrpc":"2.0","id":01,"method":"m"}`, ParseError, ""},
		{"bare minus", `{"jsonrpc":"2.0","id":-,"method":"m"}`, ParseError, ""},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"m"}`, InvalidRequest, ""},
		{"boolean id", `{"jsonrpc":"2.0","id":true,"method":"m"}`, InvalidRequest, ""},
		{"object id", `{"jsonrpc":"2.0","id":{},"method":"m"}`, InvalidRequest, ""},
		{"version", `{"jsonrpc":"1.0","id":7,"method":"m"}`, InvalidRequest, "7"},
		{"no version", `{"id":7,"method":"m"}`, InvalidRequest, "7"},
		{"method is a number", `{"jsonrpc":"2.0","id":7,"method":1}`, InvalidRequest, ""},
		{"empty method", `{"jsonrpc":"2.0","id":7,"method":""}`, InvalidRequest, "7"},
		{"params is an array", `{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}`, InvalidParams, "7"},
		{"params is null", `{"jsonrpc":"2.0","id":"q","method":"m","params":null}`, InvalidParams, `"q"`},
		{"request and response", `{"jsonrpc":"2.0","id":7,"method":"m","result":{}}`, InvalidRequest, "7"},
		{"neither", `{"jsonrpc":"2.0","id":7}`, InvalidRequest, "7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.frame))
			if tt.code == 0 {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != tt.code || string(e.ID) != tt.id {
				t.Fatalf("got %v (%+v), want code %d with id %q", err, e, tt.code, tt.id)
			}
		})
	}
}

// What was decided on must be what is forwarded, to the byte.
func TestSpans(t *testing.T) {
	frame := []byte(`{"jsonrpc":"2.0","id" : 1.0 ,"method":"tools/call","params": {"name":"r\u0065ad", "arguments" : { "p" :1e2 }  } }`)
	m, err := Parse(frame)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.ID) != "1.0" || m.Method != "tools/call" || !m.Request() {
		t.Errorf("got id %s method %q", m.ID, m.Method)
	}
	if got, want := string(m.Params), `{"name":"r\u0065ad", "arguments" : { "p" :1e2 }  }`; got != want {
		t.Errorf("params %s, want %s", got, want)
	}
	if got, want := string(Member(m.Params, "arguments")), `{ "p" :1e2 }`; got != want {
		t.Errorf("arguments %s, want %s", got, want)
	}
	if name, ok := Text(Member(m.Params, "name")); !ok || name != "read" {
		t.Errorf("name %q", name)
	}
	var got []string
	for e := range Elements([]byte(`[ 1, {"a":[2]} ,"x"]`)) {
		got = append(got, string(e))
	}
	if d := cmp.Diff([]string{"1", `{"a":[2]}`, `"x"`}, got); d != "" {
		t.Error(d)
	}
}

func TestParseReply(t *testing.T) {
	for frame, ok := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2,"s":"\ud83d"}}`:       true,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`:       true,
		`{"jsonrpc":"2.0","id":1,"result":{},"result":{}}`:                   false,
		`{"jsonrpc":"2.0","id":1,"result":{}},"id":2}`:                       false,
		`{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`:                    false,
		`{"jsonrpc":"2.0","id":1,"result":[]}`:                               false,
		`{"jsonrpc":"2.0","result":{}}`:                                      false,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`:    true,
		`{"jsonrpc":"2.0","id":null,"method":"notifications/x"}`:             false,
		`{"jsonrpc":"2.0","id":1,"result":{"a":` + "\"\xff\"" + `}}`:         false,
		`{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat("[", 600) + `}`: false,
	} {
		if _, err := ParseReply([]byte(frame)); (err == nil) != ok {
			t.Errorf("%s: %v", frame, err)
		}
	}
}

func TestReplace(t *testing.T) {
	raw := []byte(`{"a":{"b":1}, "_meta" : {"x":[{}], "progressToken" : "t" }, "z":0}`)
	got, ok := Replace(raw, []byte("7"), "_meta", "progressToken")
	if want := `{"a":{"b":1}, "_meta" : {"x":[{}], "progressToken" : 7 }, "z":0}`; !ok || string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, path := range [][]string{{"b"}, {"a", "c"}, {"z", "a"}} {
		if got, ok := Replace(raw, []byte("7"), path...); ok || got != nil {
			t.Errorf("replaced %v: %s", path, got)
		}
	}
}

func TestAppend(t *testing.T) {
	for got, want := range map[string]string{
		string(AppendRequest(nil, 7, "tools/call", []byte(`{"a":1}`))):          `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":1}}`,
		string(AppendNotification(nil, "a\"\u00e9", nil)):                       `{"jsonrpc":"2.0","method":"a\"é"}`,
		string(AppendResult(nil, []byte(`"x"`), []byte(`{}`))):                  `{"jsonrpc":"2.0","id":"x","result":{}}`,
		string(AppendError(nil, nil, -32601, "no", []byte(`{"k":1}`))):          `{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no","data":{"k":1}}}`,
		string(AppendLine([]byte("data: "), []byte("{\r\n \"a\":\n\"b\\n\"}"))): "data: {   \"a\": \"b\\n\"}",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Keys by the hundred thousand must not cost quadratic time.
func TestManyKeysAreCheap(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"k":1`)
	for i := range 100_000 {
		fmt.Fprintf(&b, `,"%x":1`, i)
	}
	b.WriteString("}}")
	if _, err := Parse(b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// FuzzParse: what is accepted is one JSON object in which no object has a key
// twice by encoding/json's own reading, and its spans are what encoding/json
// finds under those names.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[1,-0.5e+3,true,null,"\ud83d\ude00\n"]}}`,
		`{"jsonrpc":"2.0","id":"x","result":{"a":{"b":1,"\u0062":2}}}`,
		`{"jsonrpc":"2.0","method":"m"} x`, `[{}]`, "\ufeff{}", `{"jsonrpc":"2.0","id":1e999,"method":"\u0000"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := Parse(frame)
		if err != nil {
			return
		}
		if !json.Valid(frame) {
			t.Fatalf("accepted what is not JSON: %q", frame)
		}
		d := json.NewDecoder(bytes.NewReader(frame))
		d.UseNumber()
		if err := distinct(d); err != nil {
			t.Fatalf("accepted %q: %v", frame, err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(frame, &want); err != nil {
			t.Fatal(err)
		}
		for name, span := range map[string]json.RawMessage{"id": m.ID, "params": m.Params, "result": m.Result, "error": m.Error} {
			if !bytes.Equal(span, want[name]) {
				t.Fatalf("%s is %q, encoding/json reads %q", name, span, want[name])
			}
		}
		for k, v := range Members(m.Params) {
			var p map[string]json.RawMessage
			if err := json.Unmarshal(m.Params, &p); err != nil || !bytes.Equal(p[k], v) {
				t.Fatalf("params.%s is %q, encoding/json reads %q (%v)", k, v, p[k], err)
			}
		}
	})
}

// distinct reads one value token by token and fails on a key seen twice.
func distinct(d *json.Decoder) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	switch tok {
	case json.Delim('{'):
		seen := map[any]bool{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if seen[key] {
				return fmt.Errorf("key %q twice", key)
			}
			seen[key] = true
			if err := distinct(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	case json.Delim('['):
		for d.More() {
			if err := distinct(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func BenchmarkParse(b *testing.B) {
	frame := []byte(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"write_note","arguments":{"encounter":"E1","text":"` + strings.Repeat("a note ", 60) + `"},"_meta":{"progressToken":17}}}`)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(frame); err != nil {
			b.Fatal(err)
		}
	}
}
