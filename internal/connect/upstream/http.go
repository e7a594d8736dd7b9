package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/jsonrpc"
)

const (
	// sideTime bounds a message on the side of a call: a cancellation, an answer
	// to the server, the end of a session.
	sideTime = 2 * time.Second
	// drainTime and drainSize bound what is read of an event stream behind the
	// answer so that its connection can be used again.
	drainTime = time.Second
	drainSize = 64 << 10
)

// An httpLink is one session of streamable HTTP (MCP 2025-11-25, Transports).
type httpLink struct {
	u        *Upstreams
	server   mapping.Server
	url      *url.URL
	session  string // Mcp-Session-Id; "" when the server gave none
	revision string // "" until initialize is answered
	ids      atomic.Int64
	over     atomic.Bool // the session is of no more use
}

// dialHTTP opens a session. Nothing of any call is sent yet, so its errors say
// that nothing was.
func (u *Upstreams) dialHTTP(ctx context.Context, o broker.Opened) (link, error) {
	server := o.Server()
	to, err := url.Parse(server.URL)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, unsent(server, errors.New("not an http or https URL"), "its URL cannot be used")
	}
	l := &httpLink{u: u, server: server, url: to}
	r, err := l.call(ctx, o, "initialize", u.hello(), nil)
	if err == nil {
		l.revision, err = greeted(r)
	}
	if err == nil {
		err = l.side(ctx, o, jsonrpc.AppendNotification(nil, "notifications/initialized", nil))
	}
	if err != nil {
		return nil, unsent(server, err, "no session could be opened")
	}
	return l, nil
}

// fits: credentials are sent with every request, so that only the address binds
// a session.
func (l *httpLink) fits(o broker.Opened) bool {
	return !l.over.Load() && o.Server().URL == l.server.URL
}

// send makes one request. ctx MUST live until the response's body is closed.
// sent is false only if no header was written; the transport repeats a POST only
// if nothing was. Round trips follow no redirect.
func (l *httpLink) send(ctx context.Context, o broker.Opened, method string, frame []byte, event string) (resp *http.Response, sent bool, err error) {
	h := make(http.Header, len(o.Headers())+6)
	for name, value := range o.Headers() {
		h.Set(name, value)
	}
	h["Accept"] = []string{"application/json, text/event-stream"}
	h["User-Agent"] = []string{"ambit/" + l.u.o.Version}
	set := func(name, value string) {
		if delete(h, name); value != "" {
			h[name] = []string{value}
		}
	}
	set("Mcp-Session-Id", l.session)
	set("Mcp-Protocol-Version", l.revision)
	set("Last-Event-Id", event)
	r := &http.Request{Method: method, URL: l.url, Host: l.url.Host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	var wrote atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	if frame != nil {
		h["Content-Type"] = []string{"application/json"}
		// A reader that net/http knows to be in memory goes out in one write with
		// the header; any other costs the server a second wake.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(frame)), nil }
		r.Body, _ = r.GetBody()
		r.ContentLength = int64(len(frame))
	}
	resp, err = l.u.transport.RoundTrip(r.WithContext(ctx))
	return resp, err == nil || wrote.Load(), err
}

// side sends a message that belongs to no call and wants no answer.
func (l *httpLink) side(ctx context.Context, o broker.Opened, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sideTime)
	defer cancel()
	resp, _, err := l.send(ctx, o, http.MethodPost, frame, "")
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, drainSize)
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New("answered " + strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// call implements link.
func (l *httpLink) call(ctx context.Context, o broker.Opened, method string, params json.RawMessage, notify func(json.RawMessage)) (broker.Reply, error) {
	id := l.ids.Add(1)
	frame := jsonrpc.AppendRequest(make([]byte, 0, len(params)+len(method)+64), id, method, params)
	// The request hangs on Close and, through AfterFunc, on ctx, but outlives it
	// for as long as it takes to make its connection good for the next call.
	wire, cut := context.WithCancel(l.u.base)
	live := context.AfterFunc(ctx, cut)
	resp, sent, err := l.send(wire, o, http.MethodPost, frame, "")
	if err != nil {
		live()
		cut()
		if sent && ctx.Err() != nil {
			l.cancelled(o, id)
		}
		return broker.Reply{}, failed(l.server, sent, cause(ctx, err), "%s got no answer", method)
	}
	x := &exchange{l: l, o: o, id: strconv.AppendInt(nil, id, 10), wire: wire, resp: resp, notify: notify}
	r, err := x.answer()
	cancelled := !live() && err != nil
	if x.stream && err == nil {
		l.u.work.Go(func() { x.drain(cut) })
	} else {
		_ = x.resp.Body.Close()
		cut()
	}
	switch {
	case err == nil && method == "initialize":
		l.session = resp.Header.Get("Mcp-Session-Id")
	case cancelled:
		l.cancelled(o, id)
	}
	if err != nil {
		return broker.Reply{}, failed(l.server, true, cause(ctx, err), "%s got no usable answer", method)
	}
	return r, nil
}

// cause prefers the reason why ctx ended to what the transport made of it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// cancelled tells the server that nobody waits for id any more. Closing the
// stream alone does not say so (MCP 2025-11-25, Transports).
func (l *httpLink) cancelled(o broker.Opened, id int64) {
	l.u.work.Go(func() { _ = l.side(l.u.base, o, cancellation(id)) })
}

// cancellation is the notification that ends request id.
func cancellation(id int64) []byte {
	params := strconv.AppendInt([]byte(`{"requestId":`), id, 10)
	return jsonrpc.AppendNotification(nil, "notifications/cancelled", append(params, `,"reason":"the caller left or cancelled"}`...))
}

// close implements link: it ends the session where there is one. The credentials
// of the last call are gone with it, so a server that wants them keeps the session
// until it expires there.
func (l *httpLink) close(ctx context.Context) {
	if l.session == "" || l.over.Swap(true) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sideTime)
	defer cancel()
	if resp, _, err := l.send(ctx, broker.Opened{}, http.MethodDelete, nil, ""); err == nil {
		_ = resp.Body.Close()
	}
}

// An exchange is one request and what comes back.
type exchange struct {
	l      *httpLink
	o      broker.Opened
	id     []byte
	wire   context.Context
	resp   *http.Response
	notify func(json.RawMessage)
	stream bool // the answer came on an event stream
}

// answer reads until the answer to the request.
func (x *exchange) answer() (broker.Reply, error) {
	kind := x.resp.Header.Get("Content-Type")
	if kind != "application/json" && kind != "text/event-stream" {
		kind, _, _ = mime.ParseMediaType(kind)
	}
	status := x.resp.StatusCode
	switch {
	case status == http.StatusNotFound && x.l.session != "":
		x.l.over.Store(true)
		return broker.Reply{}, errExpired
	case status != http.StatusOK && kind != "application/json":
		return broker.Reply{}, x.refused()
	case kind == "text/event-stream":
		x.stream = true
		return x.events()
	case kind != "application/json":
		return broker.Reply{}, errors.New("answered with neither JSON nor an event stream")
	}
	b, err := x.read()
	if err != nil {
		return broker.Reply{}, err
	}
	r, done, err := x.message(b)
	switch {
	case done && (status == http.StatusOK || r.Error != nil):
		return r, nil // many a server says an error twice, as a status and as JSON-RPC
	case status != http.StatusOK:
		return broker.Reply{}, x.refused()
	case err == nil:
		err = errors.New("answered with a message that is not the answer")
	}
	return broker.Reply{}, err
}

// refused is the error of an HTTP status. A server that forgot the session may
// say 400 where it should say 404; the call is not repeated on that, but the next
// one gets a session of its own.
func (x *exchange) refused() error {
	if x.resp.StatusCode == http.StatusBadRequest {
		x.l.over.Store(true)
	}
	return errors.New("answered with HTTP status " + strconv.Itoa(x.resp.StatusCode))
}

var errTooLarge = errors.New("the answer is larger than the gateway takes")

// read reads a body within the bound, into one allocation where its length is
// announced.
func (x *exchange) read() ([]byte, error) {
	n, bound := x.resp.ContentLength, int64(x.l.u.o.MaxAnswer)
	switch {
	case n > bound:
		return nil, errTooLarge
	case n >= 0:
		b := make([]byte, n)
		_, err := io.ReadFull(x.resp.Body, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(x.resp.Body, bound+1))
	if err == nil && int64(len(b)) > bound {
		err = errTooLarge
	}
	return b, err
}

// message takes one message of the server: the answer, which ends the exchange; a
// notification, which goes to notify; a request, which is answered.
func (x *exchange) message(b []byte) (r broker.Reply, done bool, err error) {
	m, err := jsonrpc.ParseReply(b)
	switch {
	case err != nil:
		return r, false, err
	case m.Notification():
		if x.notify != nil {
			x.notify(b)
		}
		return r, false, nil
	case m.Request():
		return r, false, x.l.side(x.wire, x.o, rejection(m))
	case bytes.Equal(m.ID, x.id):
		return broker.Reply{Result: m.Result, Error: m.Error}, true, nil
	}
	return r, false, errors.New("answered with the id of another request")
}

// rejection answers what a server asks of its client. A client must answer a
// ping; it offers nothing else.
func rejection(m jsonrpc.Message) []byte {
	if m.Method == "ping" {
		return jsonrpc.AppendResult(nil, m.ID, []byte(`{}`))
	}
	return jsonrpc.AppendError(nil, m.ID, jsonrpc.MethodNotFound, "this client offers nothing to servers", nil)
}
