package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/jsonrpc"
	"github.com/ambit-iam/ambit/internal/route"
)

// The error codes of this face, in JSON-RPC's range for servers.
const (
	// codeDenied: the decision is in the error's data.
	codeDenied = -32001
	// codeFault: everything else that went wrong; its kind is in the error's data.
	codeFault = -32000
)

// eventTime is how long a client may leave an event, or an answer, unread.
const eventTime = 30 * time.Second

// usualBody is the most that is set aside for a message that is only announced.
const usualBody = 16 << 10

// An exchange is one POST and its answer. It belongs to the goroutine of its
// request.
type exchange struct {
	*Face
	w      http.ResponseWriter
	r      *http.Request
	server string // handle
	who    enforce.Presented
	id     json.RawMessage // of the request; nil while unknown, and of a notification
	stream bool            // the client takes an event stream
	began  bool            // an event stream has begun
	// answered: the upstream's answer went out from within the effect
	answered bool
}

// message serves one POST: credential, headers, frame, meaning.
func (f *Face) message(w http.ResponseWriter, r *http.Request) error {
	x := &exchange{Face: f, w: w, r: r, server: r.PathValue("server")}
	p, err := f.Mux.Present(r)
	if err != nil {
		return x.fail(err)
	}
	if p.Token == "" { // not worth reading anything else for
		return x.fail(fault.New(fault.Unauthenticated, "an access token is needed"))
	}
	stream, refused := checkHeader(r.Header)
	if refused != nil {
		x.write(refused.status, jsonrpc.AppendError(nil, nil, refused.code, refused.message, refused.data))
		return nil
	}
	x.stream = stream
	x.who = enforce.Presented(p)
	body, err := readBody(r)
	if err != nil {
		return x.unread(err)
	}
	m, err := jsonrpc.Parse(body)
	if err != nil {
		return x.malformed(err)
	}
	return x.dispatch(m)
}

// readBody reads the message, into one allocation where its length is announced
// and usual: what is announced before anybody is known costs only what then
// comes. The mux bounds the body.
func readBody(r *http.Request) (b []byte, err error) {
	switch n := r.ContentLength; {
	case n > maxBody:
		err = &http.MaxBytesError{Limit: maxBody}
	case n >= 0:
		buf := bytes.NewBuffer(make([]byte, 0, min(n, usualBody)+bytes.MinRead))
		_, err = io.CopyN(buf, r.Body, n)
		b = buf.Bytes()
	default:
		b, err = io.ReadAll(r.Body)
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.Wrap(fault.TooLarge, err, "the message is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the message ended early")
	}
	return b, nil
}

// unread answers a message that was too large or ended early. It too is on the
// record, when it is known whose it was.
func (x *exchange) unread(err error) error {
	message, _ := fault.Safe(err)
	if _, err := x.Spine.Refuse(context.WithoutCancel(x.r.Context()), x.call("message"), message); err != nil {
		return x.fail(err)
	}
	return x.fail(err)
}

// malformed answers a frame that is not one message. It too is on the record, so
// whoever is not known learns nothing but that.
func (x *exchange) malformed(err error) error {
	e, ok := errors.AsType[*jsonrpc.Error](err)
	if !ok {
		return err
	}
	if _, err := x.Spine.Refuse(x.r.Context(), x.call("message"), "malformed message: "+e.Error()); err != nil {
		return x.fail(err)
	}
	x.write(http.StatusBadRequest, jsonrpc.AppendError(nil, e.ID, e.Code, e.Error(), nil))
	return nil
}

// call begins the spine's call of a protocol method.
func (x *exchange) call(method string) enforce.Call {
	return enforce.Call{Presented: x.who, Server: x.server, Method: method}
}

// refuse records that the message means nothing and answers with a JSON-RPC error.
func (x *exchange) refuse(call enforce.Call, code int, reason string) error {
	d, err := x.Spine.Refuse(x.r.Context(), call, reason)
	if err != nil {
		return x.fail(err)
	}
	data, err := json.Marshal(struct {
		Kind  string `json:"kind"`
		Entry string `json:"entry,omitempty"`
	}{fault.Malformed.String(), string(d.Entry)})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if x.id == nil {
		status = http.StatusBadRequest
	}
	x.write(status, jsonrpc.AppendError(nil, x.id, code, reason, data))
	return nil
}

// deny answers with the decision that refused the message. A request gets a
// JSON-RPC error in a good HTTP answer, as a tool's own error would be; a
// notification has no answer but its status.
func (x *exchange) deny(d enforce.Decision) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if x.id == nil {
		status = http.StatusForbidden
	}
	x.write(status, jsonrpc.AppendError(nil, x.id, codeDenied, d.Sentence(), data))
	return nil
}

// fail answers with a fault. One of kind Internal is left to the mux, which logs
// it.
func (x *exchange) fail(err error) error {
	kind, code := fault.KindOf(err), codeFault
	message, hint := fault.Safe(err)
	status := route.Status(kind)
	switch kind {
	case fault.Internal:
		return err
	case fault.Unauthenticated:
		route.Challenge(x.w, err, x.metadataURL(x.server))
	case fault.NotFound:
		// One text for every name, so that the answer tells nothing of it.
		message, hint = "there is no such server", ""
	case fault.Malformed:
		code = jsonrpc.InvalidRequest
	case fault.Denied:
		code = codeDenied
	case fault.Unavailable:
		x.w.Header().Set("Retry-After", "1")
	}
	if x.id != nil && (kind == fault.Denied || kind == fault.Upstream) {
		status = http.StatusOK // the exchange itself went well
	}
	failure := struct {
		Kind   string `json:"kind"`
		Hint   string `json:"hint,omitempty"`
		Status string `json:"status,omitempty"` // of an effect: unsent or lost
	}{Kind: kind.String(), Hint: hint}
	if f, ok := errors.AsType[*enforce.Failure](err); ok {
		failure.Status = "lost"
		if !f.Sent {
			failure.Status = "unsent"
		}
	}
	data, merr := json.Marshal(failure)
	if merr != nil {
		return merr
	}
	x.write(status, jsonrpc.AppendError(nil, x.id, code, message, data))
	return nil
}

// write sends the answer: the last event if a stream has begun, else plain JSON.
// A client that went away is not an error of ours.
func (x *exchange) write(status int, frame []byte) {
	if x.began {
		x.event(frame)
		return
	}
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(frame))}
	// A route that streams has no deadline of its own, and whoever leaves an answer
	// unread must not hold it, and what is done after it, for ever.
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(eventTime))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(frame)
}

// event sends frame as one event, the first one behind the head of a stream.
func (x *exchange) event(frame []byte) {
	c := http.NewResponseController(x.w)
	if !x.began {
		x.began = true
		x.w.Header().Set("Content-Type", "text/event-stream")
		x.w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold events back
		x.w.WriteHeader(http.StatusOK)
	}
	// Whoever leaves events unread must not hold the upstream's stream for ever;
	// a test's recorder has no deadlines.
	_ = c.SetWriteDeadline(time.Now().Add(eventTime))
	b := append(make([]byte, 0, len(frame)+32), "event: message\ndata: "...)
	_, _ = x.w.Write(append(jsonrpc.AppendLine(b, frame), "\n\n"...))
	_ = c.Flush()
	_ = c.SetWriteDeadline(time.Time{})
}
