package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Source resolves a reference to a secret at the moment of use. It never
// caches longer than the call. Implemented in connect.
type Source interface {
	Resolve(ctx context.Context, ref mapping.Secret) (string, error)
}

// An Upstreams carries calls to servers. It accepts nothing but an Opened.
// Implemented in connect/upstream. Safe for concurrent use.
type Upstreams interface {
	// Call forwards params of a tools/call, byte for byte, and returns the
	// upstream's result or error member, byte for byte. notify receives the
	// notifications that belong to this call, in order, and may be nil. A
	// cancelled ctx is passed on as notifications/cancelled.
	// An error of kind fault.Upstream with Sent false in its Failure means that
	// nothing reached the upstream.
	Call(ctx context.Context, o Opened, method string, params json.RawMessage, notify func(json.RawMessage)) (Reply, error)
	// Tools lists what the upstream shows now, for pinning.
	Tools(ctx context.Context, o Opened) ([]json.RawMessage, error)
}

// A Reply is an upstream's answer: Result or Error is set, as raw JSON.
type Reply struct {
	Result, Error json.RawMessage
}

// A Failure is wrapped by the error of a call that got no answer.
type Failure struct {
	Sent  bool // the request may have reached the upstream
	Cause error
}

func (f *Failure) Error() string { return f.Cause.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// An Opened is a server with its credentials in hand, good for the one effect
// that its Permit allows. Its zero value opens nothing.
type Opened struct {
	server  mapping.Server
	env     map[string]string
	headers map[string]string
	session Session
	secrets [][]byte // what was resolved, as it would stand in JSON
}

// A Session keys upstream connections and processes: they are never shared
// between origins or missions.
type Session struct {
	Server, Origin, Mission principal.UID
}

// Discloses reports whether answer, JSON from the server, holds a credential that
// was opened for it: a server that repeats its headers or its environment, in an
// error often, must not hand them to the agent. One that means to hides them in
// another spelling, and could as well use them itself. Plain values are no
// credentials, and what is shorter than eight bytes could be anything.
func (o Opened) Discloses(answer []byte) bool {
	return slices.ContainsFunc(o.secrets, func(s []byte) bool { return bytes.Contains(answer, s) })
}

// conceal notes a resolved secret in the spellings that JSON has for it.
func (o *Opened) conceal(v string) {
	if len(v) < 8 {
		return
	}
	o.secrets = append(o.secrets, []byte(v))
	if b, err := json.Marshal(v); err == nil && string(b[1:len(b)-1]) != v {
		o.secrets = append(o.secrets, b[1:len(b)-1])
	}
}

// Server returns the server; its secrets are still references.
func (o Opened) Server() mapping.Server { return o.server }

// Env returns the resolved environment for a stdio upstream.
func (o Opened) Env() map[string]string { return o.env }

// Headers returns the resolved headers for an HTTP upstream.
func (o Opened) Headers() map[string]string { return o.headers }

// Session returns the key that its connection is pooled under.
func (o Opened) Session() Session { return o.session }

// LogValue keeps secrets out of logs.
func (o Opened) LogValue() slog.Value { return slog.StringValue("opened " + string(o.server.ID)) }

// String keeps secrets out of formatted text.
func (o Opened) String() string { return "opened " + string(o.server.ID) }

// GoString keeps secrets out of %#v.
func (o Opened) GoString() string { return o.String() }

// Open spends p and resolves the credentials of server. It fails when p was
// spent before, is of another server, or allows nothing.
func Open(ctx context.Context, p *decision.Permit, server mapping.Server, s Source) (Opened, error) {
	if err := p.Spend(server.ID); err != nil {
		return Opened{}, err
	}
	o := Opened{server: server, session: Session{server.ID, p.Origin(), p.Mission()},
		env: map[string]string{}, headers: map[string]string{}}
	for into, refs := range map[*map[string]string]map[string]mapping.Secret{&o.env: server.Env, &o.headers: server.Headers} {
		for name, ref := range refs {
			v, err := s.Resolve(ctx, ref)
			if err != nil {
				return Opened{}, fault.Wrap(fault.Unavailable, err, "server %s: credential %s cannot be opened", server.Handle, name)
			}
			(*into)[name] = ref.Prefix + v
			if ref.Value == "" {
				o.conceal(v)
			}
		}
	}
	return o, nil
}
