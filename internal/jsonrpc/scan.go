package jsonrpc

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// fewKeys is up to how many keys of one object are compared pairwise; beyond it
// a set keeps a frame of very many keys from costing quadratic time.
const fewKeys = 16

// A scanner walks one JSON text. Every method leaves at behind what it read.
type scanner struct {
	text []byte // valid UTF-8, checked before the scan: the walk itself sees only ASCII structure
	at   int
	room int  // levels of nesting left
	once bool // keys of an object must differ, and escapes must be whole code points
	keys [][]byte
}

// fail stops the scan with a syntax error at the present byte.
func (s *scanner) fail(reason string) error {
	return &Error{Code: ParseError, Offset: s.at, Reason: reason}
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is not space, 0 at the end. A NUL byte in the
// text is no JSON either, so that the two need not be told apart.
func (s *scanner) peek() byte {
	s.space()
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// value reads any one value.
func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte) error { return s.value() })
	case c == '[':
		return s.array()
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	default:
		return s.fail("expected a value")
	}
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.text[s.at:], []byte(w)) {
		return s.fail("expected a value")
	}
	s.at += len(w)
	return nil
}

// object reads an object. member is called behind each colon, with the key
// unescaped, and must read the value.
func (s *scanner) object(member func(key []byte) error) error {
	if s.room--; s.room < 0 {
		return s.fail("nested too deep")
	}
	s.at++
	base := len(s.keys)
	defer func() { s.keys, s.room = s.keys[:base], s.room+1 }()
	if s.peek() == '}' {
		s.at++
		return nil
	}
	var many map[string]struct{}
	for {
		if s.peek() != '"' {
			return s.fail("expected a key")
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if s.once {
			if many, err = s.unique(key, base, many); err != nil {
				return err
			}
		}
		if s.peek() != ':' {
			return s.fail("expected ':'")
		}
		s.at++
		if err := member(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.at++
		case '}':
			s.at++
			return nil
		default:
			return s.fail("expected ',' or '}'")
		}
	}
}

// unique refuses key if the object whose keys begin at base has it already.
func (s *scanner) unique(key []byte, base int, many map[string]struct{}) (map[string]struct{}, error) {
	if many != nil {
		if _, dup := many[string(key)]; dup {
			return nil, s.fail("duplicate key")
		}
		many[string(key)] = struct{}{}
		return many, nil
	}
	for _, k := range s.keys[base:] {
		if bytes.Equal(k, key) {
			return nil, s.fail("duplicate key")
		}
	}
	s.keys = append(s.keys, key)
	if len(s.keys)-base < fewKeys {
		return nil, nil
	}
	many = make(map[string]struct{}, 2*fewKeys)
	for _, k := range s.keys[base:] {
		many[string(k)] = struct{}{}
	}
	return many, nil
}

func (s *scanner) array() error {
	if s.room--; s.room < 0 {
		return s.fail("nested too deep")
	}
	defer func() { s.room++ }()
	s.at++
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.at++
		case ']':
			s.at++
			return nil
		default:
			return s.fail("expected ',' or ']'")
		}
	}
}

// number reads a number by the grammar of RFC 8259 section 6.
func (s *scanner) number() error {
	if s.text[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return s.fail("expected a digit")
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		if s.at++; !s.digits() {
			return s.fail("expected a digit")
		}
	}
	if s.at < len(s.text) && s.text[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return s.fail("expected a digit")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// str reads a string and returns what it says: a span of the text, or a copy
// when there were escapes.
func (s *scanner) str() ([]byte, error) {
	s.at++
	from := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1], nil
		case c == '\\':
			return s.escaped(from)
		case c < 0x20:
			return nil, s.fail("control character in a string")
		default:
			s.at++
		}
	}
	return nil, s.fail("string does not end")
}

// escaped reads the rest of a string that began at from, from its first
// backslash on.
func (s *scanner) escaped(from int) ([]byte, error) {
	out := append(make([]byte, 0, s.at-from+32), s.text[from:s.at]...)
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return out, nil
		case c < 0x20:
			return nil, s.fail("control character in a string")
		case c != '\\':
			out = append(out, c)
			s.at++
		default:
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return nil, s.fail("string does not end")
}

// escape reads one escape, or the two that make a surrogate pair.
func (s *scanner) escape() (rune, error) {
	if s.at+1 >= len(s.text) {
		return 0, s.fail("string does not end")
	}
	if c := s.text[s.at+1]; c != 'u' {
		i := bytes.IndexByte([]byte(`"\/bfnrt`), c)
		if i < 0 {
			return 0, s.fail("unknown escape")
		}
		s.at += 2
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	r, ok := hex4(s.text[s.at:])
	if !ok {
		return 0, s.fail("unknown escape")
	}
	if !utf16.IsSurrogate(r) {
		s.at += 6
		return r, nil
	}
	if low, ok := hex4(s.text[s.at+6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			s.at += 12
			return pair, nil
		}
	}
	// Readers disagree on half a pair: some keep it, some replace it, some stop.
	if s.once {
		return 0, s.fail("lone surrogate")
	}
	s.at += 6
	return utf8.RuneError, nil
}

// hex4 decodes b's leading \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
