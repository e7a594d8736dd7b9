package proof

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep Canonical follows arrays and objects.
const MaxDepth = 64

// payloadDepth bounds what Ambit wraps around arguments that Canonical accepted.
const payloadDepth = MaxDepth + 64

// Canonical returns the RFC 8785 (JCS) form of one JSON text. It is stricter
// than the RFC where signing or deciding on a changed text would be unsafe: it
// refuses a member name that occurs twice after unescaping, invalid UTF-8, a
// lone surrogate, bytes after the value, nesting beyond MaxDepth, a number that
// no double holds, and an integer that a double would round (9007199254740993).
// Errors name the byte where they stand.
func Canonical(json []byte) ([]byte, error) {
	return canonical(json, MaxDepth, true)
}

// canonical is Canonical with a depth of the caller's choice. When exact is
// false integers round as the RFC says, so that data of foreign make (a JSON
// schema with a 64-bit maximum) still has a digest.
func canonical(json []byte, depth int, exact bool) ([]byte, error) {
	if !utf8.Valid(json) {
		return nil, errors.New("JSON is not valid UTF-8")
	}
	c := canonicaliser{src: json, out: make([]byte, 0, len(json)), exact: exact}
	c.space()
	if err := c.value(depth); err != nil {
		return nil, fmt.Errorf("JSON at byte %d: %w", c.pos, err)
	}
	c.space()
	if c.pos != len(c.src) {
		return nil, fmt.Errorf("JSON at byte %d: bytes after the value", c.pos)
	}
	return c.out, nil
}

// A canonicaliser parses src and writes its canonical form to out in one pass.
// Objects are written in the order they come and rearranged when that was not
// the canonical one.
type canonicaliser struct {
	src, out []byte
	pos      int
	exact    bool
	members  []member // of all open objects, innermost last
}

// A member is one member of an object: its unescaped name and where it stands
// in out.
type member struct {
	name       []byte
	start, end int
}

func (c *canonicaliser) space() {
	for c.pos < len(c.src) {
		switch c.src[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// take skips b and the space behind it, and reports whether b was there.
func (c *canonicaliser) take(b byte) bool {
	if c.pos == len(c.src) || c.src[c.pos] != b {
		return false
	}
	c.pos++
	c.space()
	return true
}

func (c *canonicaliser) value(depth int) error {
	if c.pos == len(c.src) {
		return errors.New("the text ends where a value is due")
	}
	switch b := c.src[c.pos]; {
	case b == '{' || b == '[':
		if depth == 0 {
			return errors.New("nested too deeply")
		}
		if b == '{' {
			return c.object(depth - 1)
		}
		return c.array(depth - 1)
	case b == '"':
		s, err := c.text()
		c.out = appendString(c.out, s)
		return err
	case b == '-' || '0' <= b && b <= '9':
		return c.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(c.src[c.pos:], []byte(word)) {
			c.pos += len(word)
			c.out = append(c.out, word...)
			return nil
		}
	}
	return errors.New("not a JSON value")
}

func (c *canonicaliser) array(depth int) error {
	c.take('[')
	c.out = append(c.out, '[')
	if c.take(']') {
		c.out = append(c.out, ']')
		return nil
	}
	for {
		if err := c.value(depth); err != nil {
			return err
		}
		c.space()
		switch {
		case c.take(','):
			c.out = append(c.out, ',')
		case c.pos < len(c.src) && c.src[c.pos] == ']':
			c.pos++
			c.out = append(c.out, ']')
			return nil
		default:
			return errors.New("want ',' or ']'")
		}
	}
}

func (c *canonicaliser) object(depth int) error {
	c.take('{')
	c.out = append(c.out, '{')
	first, body := len(c.members), len(c.out)
	defer func() { c.members = c.members[:first] }()
	for more := c.pos < len(c.src) && c.src[c.pos] != '}'; more; more = c.take(',') {
		if len(c.members) > first {
			c.out = append(c.out, ',')
		}
		if c.pos == len(c.src) || c.src[c.pos] != '"' {
			return errors.New("want a member name")
		}
		name, err := c.text()
		if err != nil {
			return err
		}
		m := member{name: name, start: len(c.out)}
		c.out = appendString(c.out, name)
		c.out = append(c.out, ':')
		if c.space(); !c.take(':') {
			return errors.New("want ':'")
		}
		if err := c.value(depth); err != nil {
			return err
		}
		c.space()
		m.end = len(c.out)
		c.members = append(c.members, m)
	}
	if c.pos == len(c.src) || c.src[c.pos] != '}' {
		return errors.New("want ',' or '}'")
	}
	c.pos++
	if err := c.arrange(c.members[first:], body); err != nil {
		return err
	}
	c.out = append(c.out, '}')
	return nil
}

// arrange puts the members that stand in out from body on into canonical order.
func (c *canonicaliser) arrange(members []member, body int) error {
	order := func(a, b member) int { return compareUTF16(a.name, b.name) }
	sorted := slices.IsSortedFunc(members, order)
	if !sorted {
		slices.SortFunc(members, order)
	}
	for i := 1; i < len(members); i++ {
		if bytes.Equal(members[i-1].name, members[i].name) {
			return fmt.Errorf("member %.64q occurs twice", members[i].name)
		}
	}
	if sorted {
		return nil
	}
	was := bytes.Clone(c.out[body:])
	c.out = c.out[:body]
	for i, m := range members {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, was[m.start-body:m.end-body]...)
	}
	return nil
}

// text parses a string and returns it unescaped; it aliases src when nothing
// was escaped.
func (c *canonicaliser) text() ([]byte, error) {
	c.pos++
	start := c.pos
	var own []byte // set at the first escape
	for c.pos < len(c.src) {
		switch b := c.src[c.pos]; {
		case b == '"':
			s := c.src[start:c.pos]
			if own != nil {
				s = own
			}
			c.pos++
			return s, nil
		case b < 0x20:
			return nil, errors.New("control character in a string")
		case b == '\\':
			if own == nil {
				own = append(make([]byte, 0, c.pos-start+16), c.src[start:c.pos]...)
			}
			r, err := c.escape()
			if err != nil {
				return nil, err
			}
			own = utf8.AppendRune(own, r)
		default:
			if own != nil {
				own = append(own, b)
			}
			c.pos++
		}
	}
	return nil, errors.New("the text ends inside a string")
}

// escape parses one escape sequence, a surrogate pair being one.
func (c *canonicaliser) escape() (rune, error) {
	c.pos++
	if c.pos == len(c.src) {
		return 0, errors.New("the text ends inside a string")
	}
	b := c.src[c.pos]
	if b == 'u' {
		return c.unicodeEscape()
	}
	i := bytes.IndexByte([]byte(`"\/bfnrt`), b)
	if i < 0 {
		return 0, errors.New("unknown escape")
	}
	c.pos++
	return rune("\"\\/\b\f\n\r\t"[i]), nil
}

func (c *canonicaliser) unicodeEscape() (rune, error) {
	c.pos++ // u
	r, err := c.hex4()
	if err != nil || r < 0xd800 || r > 0xdfff {
		return r, err
	}
	if r > 0xdbff || !bytes.HasPrefix(c.src[c.pos:], []byte(`\u`)) {
		return 0, errors.New("lone surrogate")
	}
	c.pos += 2
	low, err := c.hex4()
	if err != nil {
		return 0, err
	}
	if low < 0xdc00 || low > 0xdfff {
		return 0, errors.New("lone surrogate")
	}
	return 0x10000 + (r-0xd800)<<10 + (low - 0xdc00), nil
}

func (c *canonicaliser) hex4() (rune, error) {
	if len(c.src)-c.pos < 4 {
		return 0, errors.New(`\u wants four hexadecimal digits`)
	}
	var r rune
	for _, b := range c.src[c.pos : c.pos+4] {
		switch {
		case '0' <= b && b <= '9':
			r = r<<4 | rune(b-'0')
		case 'a' <= b|0x20 && b|0x20 <= 'f':
			r = r<<4 | rune(b|0x20-'a'+10)
		default:
			return 0, errors.New(`\u wants four hexadecimal digits`)
		}
	}
	c.pos += 4
	return r, nil
}

// number parses a number and writes it as ECMAScript does (RFC 8785, 3.2.2.3).
func (c *canonicaliser) number() error {
	start := c.pos
	if c.src[c.pos] == '-' {
		c.pos++
	}
	zero := c.pos < len(c.src) && c.src[c.pos] == '0'
	n := c.digits()
	if n == 0 || zero && n > 1 {
		return errors.New("not a JSON number")
	}
	integer := true
	if c.pos < len(c.src) && c.src[c.pos] == '.' {
		integer = false
		if c.pos++; c.digits() == 0 {
			return errors.New("not a JSON number")
		}
	}
	if c.pos < len(c.src) && c.src[c.pos]|0x20 == 'e' {
		integer = false
		c.pos++
		if c.pos < len(c.src) && (c.src[c.pos] == '+' || c.src[c.pos] == '-') {
			c.pos++
		}
		if c.digits() == 0 {
			return errors.New("not a JSON number")
		}
	}
	token := c.src[start:c.pos]
	if integer && n <= 15 && string(token) != "-0" { // its own shortest form
		c.out = append(c.out, token...)
		return nil
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return errors.New("number is beyond the range of a double")
	}
	at := len(c.out)
	c.out = appendNumber(c.out, f)
	// The canonical form of 2⁶⁴ is 18446744073709552000, so a text in that form
	// must pass although its digits are not the double's.
	if integer && c.exact && !bytes.Equal(c.out[at:], token) && !holds(f, string(token)) {
		return fmt.Errorf("integer %.40s would be rounded; write it as a string", token)
	}
	return nil
}

func (c *canonicaliser) digits() (n int) {
	for c.pos < len(c.src) && '0' <= c.src[c.pos] && c.src[c.pos] <= '9' {
		c.pos++
		n++
	}
	return n
}

// holds reports whether f is exactly the integer that token spells.
func holds(f float64, token string) bool {
	want, ok := new(big.Int).SetString(token, 10)
	have, acc := big.NewFloat(f).Int(nil)
	return ok && acc == big.Exact && want.Cmp(have) == 0
}

// appendNumber writes f as ECMAScript's Number::toString does.
func appendNumber(b []byte, f float64) []byte {
	if f == 0 {
		return append(b, '0') // also for -0
	}
	if a := max(f, -f); 1e-6 <= a && a < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-4] == 'e' && b[n-2] == '0' { // e-07 is written e-7
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// appendString writes s, which is valid UTF-8, as RFC 8785 3.2.2.2 says.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	clean := 0
	for i := range len(s) {
		ch := s[i]
		if ch >= 0x20 && ch != '"' && ch != '\\' {
			continue
		}
		b = append(b, s[clean:i]...)
		clean = i + 1
		switch ch {
		case '"', '\\':
			b = append(b, '\\', ch)
		case '\b':
			b = append(b, `\b`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\f':
			b = append(b, `\f`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[ch>>4], "0123456789abcdef"[ch&15])
		}
	}
	b = append(b, s[clean:]...)
	return append(b, '"')
}

// compareUTF16 orders two valid UTF-8 strings by their UTF-16 code units.
func compareUTF16(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		ra, na := utf8.DecodeRune(a)
		rb, nb := utf8.DecodeRune(b)
		if ra != rb {
			return cmp.Compare(rank(ra), rank(rb))
		}
		a, b = a[na:], b[nb:]
	}
	return cmp.Compare(len(a), len(b))
}

// rank orders code points as UTF-16 does: those beyond the basic plane begin
// with a surrogate, so they stand where the surrogates do, before U+E000.
func rank(r rune) int64 {
	if r < 0x10000 {
		return int64(r) << 20
	}
	return 0xd800<<20 + int64(r-0x10000)
}
