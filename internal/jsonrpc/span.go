package jsonrpc

import (
	"encoding/json"
	"iter"
)

// Text returns what the JSON string raw says; ok is false when raw is no string.
func Text(raw []byte) (text string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	s := scanner{text: raw}
	b, err := s.str()
	if err != nil || s.at != len(raw) {
		return "", false
	}
	return string(b), true
}

// Members walks the members of the object raw in order: the key unescaped and
// the value as a span of raw. raw MUST be part of a frame that Parse or
// ParseReply accepted; of anything else it yields a prefix at most.
func Members(raw []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		s := scanner{text: raw, room: replyDepth}
		if s.peek() != '{' {
			return
		}
		_ = s.object(func(key []byte) error {
			s.space()
			name, from := string(key), s.at
			if err := s.value(); err != nil {
				return err
			}
			if !yield(name, raw[from:s.at:s.at]) {
				return errStop
			}
			return nil
		})
	}
}

// Elements walks the elements of the array raw in order, as spans of it. The
// condition on raw is that of Members.
func Elements(raw []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		s := scanner{text: raw, room: replyDepth}
		if s.peek() != '[' {
			return
		}
		s.at++
		if s.peek() == ']' {
			return
		}
		for {
			s.space()
			from := s.at
			if s.value() != nil || !yield(raw[from:s.at:s.at]) || s.peek() != ',' {
				return
			}
			s.at++
		}
	}
}

// Member returns the value of the first member called name of the object raw,
// nil when there is none. The condition on raw is that of Members.
func Member(raw []byte, name string) json.RawMessage {
	if from, to, ok := find(raw, name); ok {
		return raw[from:to:to]
	}
	return nil
}

// Replace returns a copy of the object raw in which the value at path, a chain of
// member names, is value instead; every other byte stays. ok is false, and the
// copy nil, when there is nothing at path. The condition on raw is that of
// Members.
func Replace(raw, value []byte, path ...string) (copied []byte, ok bool) {
	from, to := 0, len(raw)
	for _, name := range path {
		f, t, ok := find(raw[from:to], name)
		if !ok {
			return nil, false
		}
		from, to = from+f, from+t
	}
	out := make([]byte, 0, len(raw)-(to-from)+len(value))
	return append(append(append(out, raw[:from]...), value...), raw[to:]...), true
}

// find returns where the value of the first member called name stands in raw.
func find(raw []byte, name string) (from, to int, ok bool) {
	s := scanner{text: raw, room: replyDepth}
	if s.peek() != '{' {
		return 0, 0, false
	}
	_ = s.object(func(key []byte) error {
		s.space()
		hit, start := string(key) == name, s.at
		if err := s.value(); err != nil {
			return err
		}
		if hit {
			from, to, ok = start, s.at, true
			return errStop
		}
		return nil
	})
	return from, to, ok
}

// errStop ends a walk early; nobody sees it.
var errStop error = &Error{Reason: "stopped"}
