package mcp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/jsonrpc"
)

// dispatch gives a message its meaning.
func (x *exchange) dispatch(m jsonrpc.Message) error {
	x.id = m.ID
	switch {
	case m.Method == "":
		x.id = nil // the id of a response is not this client's to be answered under
		return x.refuse(x.call("response"), jsonrpc.InvalidRequest, "the gateway asks its clients nothing, so there is nothing to respond to")
	case m.Notification():
		return x.notification(m)
	}
	switch m.Method {
	case "initialize":
		return x.initialize(m)
	case "ping":
		return x.checked(m.Method, func() []byte { return []byte(`{}`) })
	case "tools/list":
		return x.list(m)
	case "tools/call":
		return x.tool(m)
	}
	return x.refuse(x.call(m.Method), jsonrpc.MethodNotFound, "method not found: the gateway serves tools only")
}

// checked answers a request of the session itself, once the spine allows it.
func (x *exchange) checked(method string, result func() []byte) error {
	d, err := x.Spine.Check(x.r.Context(), x.call(method))
	switch {
	case err != nil:
		return x.fail(err)
	case !d.Allowed():
		return x.deny(d)
	}
	x.write(http.StatusOK, jsonrpc.AppendResult(nil, x.id, result()))
	return nil
}

// initialize is answered by the gateway itself: it is the server that the agent
// talks to. The revision is the one asked for if it is spoken here, else the
// newest; no session is opened.
func (x *exchange) initialize(m jsonrpc.Message) error {
	asked, ok := jsonrpc.Text(jsonrpc.Member(m.Params, "protocolVersion"))
	if !ok {
		return x.refuse(x.call(m.Method), jsonrpc.InvalidParams, "params.protocolVersion is not a string")
	}
	if !slices.Contains(revisions, asked) {
		asked = revisions[0]
	}
	version := x.Version
	if version == "" {
		version = "dev"
	}
	return x.checked(m.Method, func() []byte {
		b, _ := json.Marshal(map[string]any{ // strings and a boolean: cannot fail
			"protocolVersion": asked,
			"capabilities":    map[string]any{"tools": map[string]bool{"listChanged": false}},
			"serverInfo":      map[string]string{"name": "ambit/" + x.server, "version": version},
		})
		return b
	})
}

// notification takes note of what needs no answer. Only a cancellation has an
// effect here, and only on a call of the same principal under the same hop.
func (x *exchange) notification(m jsonrpc.Message) error {
	if !strings.HasPrefix(m.Method, "notifications/") {
		return x.refuse(x.call(m.Method), jsonrpc.InvalidRequest, "a request needs an id")
	}
	d, err := x.Spine.Check(x.r.Context(), x.call(m.Method))
	switch {
	case err != nil:
		return x.fail(err)
	case !d.Allowed():
		return x.deny(d)
	}
	if m.Method == "notifications/cancelled" {
		x.flights.cancel(x.flight(jsonrpc.Member(m.Params, "requestId")))
	}
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

// list answers with the pinned definitions, byte for byte, of the tools that the
// caller may call, in the catalogue's order. They fit one page, so that any
// cursor is one that was never given out.
func (x *exchange) list(m jsonrpc.Message) error {
	if jsonrpc.Member(m.Params, "cursor") != nil {
		return x.refuse(x.call(m.Method), jsonrpc.InvalidParams, "params.cursor is not one that was given out")
	}
	tools, d, err := x.Spine.Tools(x.r.Context(), x.call(m.Method))
	switch {
	case err != nil:
		return x.fail(err)
	case !d.Allowed():
		return x.deny(d)
	}
	b := []byte(`{"tools":[`)
	for i, t := range tools {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t.Definition...)
	}
	x.write(http.StatusOK, jsonrpc.AppendResult(nil, x.id, append(b, "]}"...)))
	return nil
}
