package authority

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A Value is a JSON scalar or any other JSON value, compared as SEMANTICS
// section 4 says: by type, then numbers by exact numeric value (1 = 1.0),
// strings by code points, arrays in order, objects by member; true is not 1.
// The zero Value is malformed and equals nothing.
type Value struct {
	Raw json.RawMessage // canonical (RFC 8785) form
}

// StringValue returns s as a Value. Invalid UTF-8 gives the zero Value.
func StringValue(s string) Value {
	if !utf8.ValidString(s) {
		return Value{}
	}
	return Value{Raw: appendString(nil, s)}
}

// Text returns the string that v is, and whether it is one.
func (v Value) Text() (string, bool) {
	b, ok := unquote(v.Raw)
	return string(b), ok
}

// Equal reports whether v and w are the same value.
func (v Value) Equal(w Value) bool {
	o := jsonOperand(w.Raw)
	return o.equals(v)
}

// MarshalJSON returns Raw; the zero Value is an error.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v.Raw) == 0 {
		return nil, errors.New("authority: a value that was never set has no JSON form")
	}
	return v.Raw, nil
}

// UnmarshalJSON reads any JSON value strictly and keeps its canonical form.
func (v *Value) UnmarshalJSON(data []byte) error {
	n, err := read(data)
	if err != nil {
		return err
	}
	*v, err = n.value("")
	return err
}

// An operand is the value that constraints are asked about: its JSON, and its
// text when it is one, decoded once.
type operand struct {
	raw    []byte // trimmed JSON; nil for a resource id
	str    []byte
	isText bool
}

// jsonOperand makes an operand of a JSON value.
func jsonOperand(raw []byte) operand {
	o := operand{raw: trim(raw)}
	o.str, o.isText = unquote(o.raw)
	return o
}

// textOperand makes an operand of a string that did not come as JSON.
func textOperand(s string) operand {
	return operand{str: []byte(s), isText: utf8.ValidString(s)}
}

// number returns the number that o is, and whether it is one.
func (o *operand) number() (decimal, bool) { return parseDecimal(o.raw) }

// equals reports whether o is v. Scalars cost no allocation unless escaped.
func (o *operand) equals(v Value) bool {
	if len(v.Raw) == 0 {
		return false
	}
	switch c := v.Raw[0]; {
	case c == '"':
		want, ok := unquote(v.Raw)
		return ok && o.isText && bytes.Equal(o.str, want)
	case c == '-' || '0' <= c && c <= '9':
		got, ok := o.number()
		want, ok2 := parseDecimal(v.Raw)
		return ok && ok2 && got.compare(want) == 0
	case c == '[' || c == '{':
		if len(o.raw) == 0 || o.raw[0] != c {
			return false
		}
		if bytes.Equal(o.raw, v.Raw) {
			return true
		}
		got, err := read(bytes.Clone(o.raw)) // a clone, so that an operand stays on the stack
		if err != nil {
			return false
		}
		want, err := read(v.Raw)
		return err == nil && got.equal(want)
	}
	return bytes.Equal(o.raw, v.Raw) // true, false, null
}

// trim drops JSON white space around a value.
func trim(raw []byte) []byte {
	for len(raw) > 0 && raw[0] <= ' ' {
		raw = raw[1:]
	}
	for len(raw) > 0 && raw[len(raw)-1] <= ' ' {
		raw = raw[:len(raw)-1]
	}
	return raw
}

// unquote returns the text of a JSON string. It is false for other values, for
// invalid UTF-8 and for half a surrogate pair: two texts that a decoder would
// make equal must not be.
func unquote(raw []byte) ([]byte, bool) {
	n := len(raw)
	if n < 2 || raw[0] != '"' || raw[n-1] != '"' || !utf8.Valid(raw) {
		return nil, false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : n-1], true
	}
	var s string
	if !paired(raw) || json.Unmarshal(bytes.Clone(raw), &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

// paired reports whether every \u escape of a surrogate in JSON text has its
// other half beside it.
func paired(data []byte) bool {
	unit := func(i int) rune { // of the \uXXXX at i, or -1
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return -1
		}
		var r rune
		for _, c := range data[i+2 : i+6] {
			if !hex(c) {
				return -1
			}
			r = r<<4 | rune(c&15)
			if c > '9' {
				r += 9
			}
		}
		return r
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		switch r := unit(i); {
		case r < 0:
			i++ // a two-byte escape
		case !utf16.IsSurrogate(r):
			i += 5
		case utf16.DecodeRune(r, unit(i+6)) == utf8.RuneError:
			return false
		default:
			i += 11
		}
	}
	return true
}

// length counts code points.
func length(s []byte) int { return utf8.RuneCount(s) }

// appendString appends s as RFC 8785 section 3.2.2.2 writes strings.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if j := strings.IndexByte("\"\\\b\f\n\r\t", c); j >= 0 {
			b = append(b, '\\', `"\bfnrt`[j])
		} else if c < 0x20 {
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// compareNames orders member names by UTF-16 code units (RFC 8785 section 3.2.3).
func compareNames(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}
