package jsonrpc

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// The error codes of JSON-RPC 2.0 section 5.1.
const (
	ParseError     = -32700
	InvalidRequest = -32600
	MethodNotFound = -32601
	InvalidParams  = -32602
	InternalError  = -32603
)

// Bounds on nesting. A frame from an agent is decided on, so it stays shallow;
// a result is only carried, so it may be as deep as real data gets.
const (
	requestDepth = 64
	replyDepth   = 512
)

// A Message is one JSON-RPC message. The raw members are spans of the frame it
// was parsed from, without surrounding space; nil means absent.
type Message struct {
	ID     json.RawMessage // a string or a number; also null in a reply
	Method string          // "" in a response
	Params json.RawMessage // an object
	Result json.RawMessage // an object
	Error  json.RawMessage // an object
}

// Request reports whether m asks for a response.
func (m Message) Request() bool { return m.Method != "" && m.ID != nil }

// Notification reports whether m is a notification.
func (m Message) Notification() bool { return m.Method != "" && m.ID == nil }

// An Error says why a frame is not one message.
type Error struct {
	Code   int             // ParseError, InvalidRequest or InvalidParams
	Offset int             // byte at which reading stopped; 0 when it did not begin or reached the end
	Reason string          // holds nothing of the frame
	ID     json.RawMessage // the frame's id, when it could be read
}

// Error returns the reason and where reading stopped.
func (e *Error) Error() string {
	if e.Offset == 0 {
		return e.Reason
	}
	return e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

// Parse reads a frame that an agent sent: exactly one message that has one
// reading. Its error is an *Error.
func Parse(frame []byte) (Message, error) { return parse(frame, requestDepth, true) }

// ParseReply reads a frame that an upstream sent. The envelope has one reading,
// the text is valid UTF-8 and JSON; below the envelope duplicate keys and lone
// surrogates are let through, because refusing them would lose the answer of an
// effect that has happened. Its error is an *Error.
func ParseReply(frame []byte) (Message, error) { return parse(frame, replyDepth, false) }

func parse(frame []byte, depth int, strict bool) (Message, error) {
	s := scanner{text: frame, room: depth, once: true}
	if !utf8.Valid(frame) {
		return Message{}, s.fail("not valid UTF-8")
	}
	var m Message
	switch s.peek() {
	case '{':
	case '[':
		return m, &Error{Code: InvalidRequest, Reason: "batches are not accepted: send one message"}
	default:
		return m, s.fail("not a JSON object")
	}
	version, method := "", false
	err := s.object(func(key []byte) error {
		s.space()
		name, from := string(key), s.at
		s.once = strict
		err := s.value()
		s.once = true
		span := frame[from:s.at:s.at]
		if err != nil {
			return err
		}
		switch name {
		case "jsonrpc":
			version, _ = Text(span)
		case "id":
			m.ID = span
		case "method":
			m.Method, method = Text(span)
			if !method {
				return &Error{Code: InvalidRequest, Offset: from, Reason: "method is not a string"}
			}
		case "params":
			m.Params = span
		case "result":
			m.Result = span
		case "error":
			m.Error = span
		}
		return nil
	})
	if err == nil && s.peek() != 0 || err == nil && s.at != len(frame) {
		err = s.fail("bytes after the message")
	}
	if err != nil {
		return Message{}, err
	}
	return m, m.check(version, method, strict)
}

// check applies the rules of the envelope.
func (m Message) check(version string, method, strict bool) error {
	refuse := func(code int, reason string) error {
		e := &Error{Code: code, Reason: reason}
		if validID(m.ID) {
			e.ID = m.ID
		}
		return e
	}
	null := string(m.ID) == "null"
	switch {
	case version != "2.0":
		return refuse(InvalidRequest, `jsonrpc is not "2.0"`)
	case m.ID != nil && !validID(m.ID) && (strict || !null):
		return refuse(InvalidRequest, "id is neither a string nor a number")
	case method && (m.Method == "" || m.Result != nil || m.Error != nil):
		return refuse(InvalidRequest, "neither a request nor a response")
	case method && null:
		return refuse(InvalidRequest, "id is null")
	case method && m.Params != nil && m.Params[0] != '{':
		return refuse(InvalidParams, "params is not an object")
	case method:
		return nil
	case m.ID == nil || (m.Result == nil) == (m.Error == nil):
		return refuse(InvalidRequest, "neither a request nor a response")
	case m.Result != nil && m.Result[0] != '{' || m.Error != nil && m.Error[0] != '{':
		return refuse(InvalidRequest, "result or error is not an object")
	}
	return nil
}

func validID(id []byte) bool {
	return len(id) > 0 && (id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9')
}
