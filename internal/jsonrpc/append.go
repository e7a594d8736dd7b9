package jsonrpc

import (
	"encoding/json"
	"strconv"
)

// AppendRequest appends a request frame; params is copied byte for byte and may
// be nil.
func AppendRequest(b []byte, id int64, method string, params []byte) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, id, 10)
	return appendCall(append(b, ','), method, params)
}

// AppendNotification appends a notification frame.
func AppendNotification(b []byte, method string, params []byte) []byte {
	return appendCall(append(b, `{"jsonrpc":"2.0",`...), method, params)
}

func appendCall(b []byte, method string, params []byte) []byte {
	b = append(b, `"method":`...)
	b = appendText(b, method)
	if params != nil {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	return append(b, '}')
}

// AppendResult appends a response frame; id and result are copied byte for byte.
func AppendResult(b, id, result []byte) []byte { return appendResponse(b, id, `,"result":`, result) }

// AppendFailure appends an error response whose error member is copied byte for
// byte. A nil id becomes null.
func AppendFailure(b, id, failure []byte) []byte { return appendResponse(b, id, `,"error":`, failure) }

func appendResponse(b, id []byte, member string, value []byte) []byte {
	if id == nil {
		id = []byte("null")
	}
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, id...)
	b = append(b, member...)
	b = append(b, value...)
	return append(b, '}')
}

// AppendError appends an error response; data may be nil.
func AppendError(b, id []byte, code int, message string, data []byte) []byte {
	e := strconv.AppendInt([]byte(`{"code":`), int64(code), 10)
	e = appendText(append(e, `,"message":`...), message)
	if data != nil {
		e = append(append(e, `,"data":`...), data...)
	}
	return AppendFailure(b, id, append(e, '}'))
}

// AppendLine appends raw with every line break turned into a space. Inside valid
// JSON a raw line break is only ever white space between tokens, so that the
// value stays the same to the byte; transports that frame by line need it.
func AppendLine(b, raw []byte) []byte {
	from := len(b)
	b = append(b, raw...)
	for i, c := range b[from:] {
		if c == '\n' || c == '\r' {
			b[from+i] = ' '
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}
	q, err := json.Marshal(s)
	if err != nil { // cannot be: every string marshals
		return append(b, `""`...)
	}
	return append(b, q...)
}
