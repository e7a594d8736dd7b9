package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/jsonrpc"
	"github.com/ambit-iam/ambit/internal/principal"
)

// missionKey is the key of params._meta under which a call may name its mission,
// as a uid. A call that names another than its token's is denied.
const missionKey = "ambit/mission"

// A toolCall is the params of a tools/call as this face understood them.
type toolCall struct {
	name      string
	arguments json.RawMessage
	progress  json.RawMessage // the progress token; nil when the client wants none
	mission   principal.UID
}

// parseTool reads the params of a tools/call. A reason other than "" says why
// they mean nothing. Because params are forwarded as they are, members that this
// face does not understand are refused, not skipped: an upstream that reads names
// without regard to case would take "Name" for "name", and a task would outlive
// its decision.
func parseTool(params json.RawMessage) (t toolCall, reason string) {
	t.arguments = json.RawMessage(`{}`)
	named := false
	for key, value := range jsonrpc.Members(params) {
		switch key {
		case "name":
			t.name, named = jsonrpc.Text(value)
		case "arguments":
			if value[0] != '{' {
				return t, "params.arguments is not an object"
			}
			if alike(value) {
				return t, "two arguments differ in upper and lower case only"
			}
			t.arguments = value
		case "_meta":
			if value[0] != '{' {
				return t, "params._meta is not an object"
			}
			if reason = t.meta(value); reason != "" {
				return t, reason
			}
		default:
			return t, "params has a member that is none of name, arguments and _meta"
		}
	}
	if !named || t.name == "" {
		return t, "params.name is not the name of a tool"
	}
	return t, ""
}

// meta reads what this face uses of params._meta; the rest is the upstream's.
func (t *toolCall) meta(meta json.RawMessage) (reason string) {
	for key, value := range jsonrpc.Members(meta) {
		switch key {
		case "progressToken":
			if c := value[0]; c != '"' && c != '-' && (c < '0' || c > '9') {
				return "params._meta.progressToken is neither a string nor a number"
			}
			t.progress = value
		case missionKey:
			text, _ := jsonrpc.Text(value)
			if t.mission = principal.UID(text); !t.mission.Is(principal.Mission) {
				return "params._meta names a mission that is not a mission's uid"
			}
		}
	}
	return ""
}

// alike reports whether two members of the object raw have names that readers
// without regard to case take for one.
func alike(raw json.RawMessage) bool {
	seen := map[string]bool{}
	for key := range jsonrpc.Members(raw) {
		// Upper, then lower, folds what EqualFold does, the Kelvin sign included.
		key = strings.ToLower(strings.ToUpper(key))
		if seen[key] {
			return true
		}
		seen[key] = true
	}
	return false
}

// tool serves a tools/call.
func (x *exchange) tool(m jsonrpc.Message) error {
	t, reason := parseTool(m.Params)
	call := x.call(m.Method)
	call.Tool = t.name
	if reason != "" {
		return x.refuse(call, jsonrpc.InvalidParams, reason)
	}
	call.Arguments, call.Mission = t.arguments, t.mission
	// Deciding and recording outlive the client; the effect itself does not. The
	// answer goes out from within the effect: the decision is durable, and the
	// outcome, which is batched, is made up while the client reads.
	d, err := x.Spine.Act(context.WithoutCancel(x.r.Context()), call, func(ctx context.Context, o enforce.Opened) (enforce.Result, error) {
		start := time.Now()
		reply, err := x.forward(ctx, o, m, t)
		if err != nil {
			return enforce.Result{}, err
		}
		took := time.Since(start) // the server's time, not the reader's
		x.reply(reply)
		r := result(reply)
		r.Took = took
		return r, nil
	})
	switch {
	case x.answered:
		return nil // what the recording met is the spine's to log
	case err != nil:
		return x.fail(err)
	}
	return x.deny(d)
}

// reply sends the upstream's answer under the client's id, and hands it to the
// network at once.
func (x *exchange) reply(r enforce.Reply) {
	x.answered = true
	if r.Error != nil {
		x.write(http.StatusOK, jsonrpc.AppendFailure(make([]byte, 0, len(r.Error)+len(x.id)+40), x.id, r.Error))
	} else {
		x.write(http.StatusOK, jsonrpc.AppendResult(make([]byte, 0, len(r.Result)+len(x.id)+40), x.id, r.Result))
	}
	_ = http.NewResponseController(x.w).Flush() // a client that left is not an error of ours
}

// forward is the effect: it sends the params as they came, and passes progress on.
// A client that leaves, or cancels, ends it.
func (x *exchange) forward(ctx context.Context, o enforce.Opened, m jsonrpc.Message, t toolCall) (enforce.Reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if client := x.r.Context(); client.Err() != nil {
		return enforce.Reply{}, fault.Wrap(fault.Upstream, &enforce.Failure{Cause: errLeft}, "the client left before the call was sent")
	}
	defer context.AfterFunc(x.r.Context(), func() { cancel(errLeft) })()
	defer x.flights.enter(x.flight(x.id), cancel)()
	var notify func(json.RawMessage)
	if x.stream && t.progress != nil {
		notify = func(n json.RawMessage) { x.progress(n, t.progress) }
	}
	return x.Upstreams.Call(ctx, o, m.Method, m.Params, notify)
}

// progress passes on a notification if it is about progress under the client's
// own token. Nothing else is: this gateway advertised nothing else.
func (x *exchange) progress(n, token json.RawMessage) {
	method, _ := jsonrpc.Text(jsonrpc.Member(n, "method"))
	got := jsonrpc.Member(jsonrpc.Member(n, "params"), "progressToken")
	if method == "notifications/progress" && same(got, token) {
		x.event(n)
	}
}

// same compares two ids or tokens, however a string is escaped.
func same(a, b json.RawMessage) bool {
	s, ok := jsonrpc.Text(a)
	t, also := jsonrpc.Text(b)
	return ok == also && s == t && (ok || string(a) == string(b))
}

// result is what the record keeps of an answer.
func result(r enforce.Reply) enforce.Result {
	b, status := r.Result, "ok"
	if r.Error != nil {
		b, status = r.Error, "error"
	}
	for key, value := range jsonrpc.Members(r.Result) {
		if key == "isError" && string(value) == "true" {
			status = "error"
		}
	}
	digest := sha256.Sum256(b)
	return enforce.Result{Status: status, Digest: base64.RawURLEncoding.EncodeToString(digest[:]), Bytes: len(b)}
}
