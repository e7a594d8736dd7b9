package authority

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Error says what is malformed in an authority or in limits, and where: Path
// is "" for the whole, or for example "[1].arguments.patient.and[0]". It holds
// no value of a call and is safe to show to who wrote what it is about.
type Error struct {
	Of     string // "authority" or "limits"
	Path   string
	Reason string
}

// Error returns for example "authority[1].actions: is not an array".
func (e *Error) Error() string { return e.Of + e.Path + ": " + e.Reason }

func wrong(at, format string, args ...any) error {
	return flaw(at, fmt.Sprintf(format, args...))
}

// member extends a path by a member name, quoted unless it is a plain word.
func member(at, name string) string {
	for i, c := range []byte(name) {
		if !(c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || i > 0 && '0' <= c && c <= '9') {
			return at + "[" + strconv.Quote(name) + "]"
		}
	}
	if name == "" {
		return at + `[""]`
	}
	return at + "." + name
}

func element(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }

// A node is a JSON value as it was written: numbers as literals, member names
// distinct and in order.
type node struct {
	kind  byte   // '{' '[' '"' '0' 't' 'n' as in the first byte of its JSON, 't' for both booleans
	text  string // of a string (decoded), number (literal) or boolean
	names []string
	list  []node
}

// maxNesting bounds the depth of JSON that is read, so that recursion is
// bounded. Meeting flattens, so it never passes the bound.
const maxNesting = 32

// read parses exactly one JSON value: valid UTF-8, no half surrogate pairs, no
// member name twice after unescaping, nothing behind it.
func read(data []byte) (node, error) {
	if !json.Valid(data) {
		return node{}, wrong("", "is not one JSON value")
	}
	if !utf8.Valid(data) || !paired(data) {
		return node{}, wrong("", "holds text that is not valid Unicode")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return readNode(d, "", 0)
}

func readNode(d *json.Decoder, at string, depth int) (node, error) {
	if depth > maxNesting {
		return node{}, wrong(at, "is nested more than %d deep", maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		return node{}, errors.Join(wrong(at, "is not JSON"), err)
	}
	switch t := t.(type) {
	case nil:
		return node{kind: 'n'}, nil
	case bool:
		return node{kind: 't', text: strconv.FormatBool(t)}, nil
	case string:
		return node{kind: '"', text: t}, nil
	case json.Number:
		return node{kind: '0', text: string(t)}, nil
	}
	n := node{kind: '['}
	if t == json.Delim('{') {
		n.kind = '{'
	}
	seen := map[string]bool{}
	for d.More() {
		sub := element(at, len(n.list))
		if n.kind == '{' {
			name, err := d.Token()
			if err != nil {
				return node{}, errors.Join(wrong(at, "is not JSON"), err)
			}
			s, _ := name.(string)
			if sub = member(at, s); seen[s] {
				return node{}, wrong(sub, "appears twice")
			}
			seen[s] = true
			n.names = append(n.names, s)
		}
		m, err := readNode(d, sub, depth+1)
		if err != nil {
			return node{}, err
		}
		n.list = append(n.list, m)
	}
	_, err = d.Token() // the closing delimiter
	return n, err
}

// equal compares two values as Value.Equal says.
func (n node) equal(o node) bool {
	if n.kind != o.kind || len(n.list) != len(o.list) {
		return false
	}
	if n.kind == '0' {
		a, ok := parseDecimal([]byte(n.text))
		b, ok2 := parseDecimal([]byte(o.text))
		return ok && ok2 && a.compare(b) == 0
	}
	for i, m := range n.list {
		j := i
		if n.kind == '{' {
			j = slices.Index(o.names, n.names[i])
		}
		if j < 0 || !m.equal(o.list[j]) {
			return false
		}
	}
	return n.text == o.text
}

// value returns n in canonical form.
func (n node) value(at string) (Value, error) {
	b, err := n.append(nil, at)
	return Value{Raw: b}, err
}

func (n node) append(b []byte, at string) ([]byte, error) {
	switch n.kind {
	case 'n':
		return append(b, "null"...), nil
	case 't':
		return append(b, n.text...), nil
	case '"':
		return appendString(b, n.text), nil
	case '0':
		s, ok := canonicalNumber(n.text)
		if !ok {
			return nil, wrong(at, "the number %.40s is not one that RFC 8785 keeps; write it as a string, or with fewer digits", n.text)
		}
		return append(b, s...), nil
	}
	order := make([]int, len(n.list))
	for i := range order {
		order[i] = i
	}
	if n.kind == '{' {
		slices.SortFunc(order, func(i, j int) int { return compareNames(n.names[i], n.names[j]) })
	}
	b = append(b, n.kind)
	for k, i := range order {
		if k > 0 {
			b = append(b, ',')
		}
		sub := element(at, i)
		if n.kind == '{' {
			sub = member(at, n.names[i])
			b = append(appendString(b, n.names[i]), ':')
		}
		var err error
		if b, err = n.list[i].append(b, sub); err != nil {
			return nil, err
		}
	}
	return append(b, n.kind+2), nil // ']' is '['+2 and '}' is '{'+2
}
