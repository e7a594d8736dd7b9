package mapping

import (
	"bytes"
	"encoding/json"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Resolve says what a tools/call means. args is the call's arguments object as
// it was sent; none at all is the empty object. A revoked server or tool still
// has a meaning: refusing it is the mandate's.
//
// Errors: fault.NotFound when the server has no such tool, fault.Malformed when
// args is not one strict JSON object (RFC 8259, no key twice) or does not hold
// what the mapping needs.
func Resolve(c Catalogue, server principal.UID, tool string, args json.RawMessage) (Action, error) {
	a, t, err := find(c, server, tool)
	if err != nil {
		return Action{}, err
	}
	if a.Arguments, err = arguments(args); err != nil {
		return Action{}, err
	}
	known, _ := c.inputs.Get(t.ID)
	if err := known.refuse(a.Arguments); err != nil {
		return Action{}, err
	}
	if a.Resource, err = t.Resource.Render(a.Arguments); err != nil {
		return Action{}, err
	}
	a.Cost, a.Rows = t.Cost.price(a.Arguments), t.Rows.price(a.Arguments)
	return a, nil
}

// Outline is Resolve for a call whose arguments are not known yet, as when tools
// are listed. It has neither resource nor price.
func Outline(c Catalogue, server principal.UID, tool string) (Action, error) {
	a, _, err := find(c, server, tool)
	a.Unknown = err == nil
	return a, err
}

func find(c Catalogue, server principal.UID, tool string) (Action, Tool, error) {
	s, ok := c.Server(server)
	if !ok {
		return Action{}, Tool{}, fault.New(fault.NotFound, "there is no such server")
	}
	t, ok := c.ToolByName(server, tool)
	if !ok {
		return Action{}, Tool{}, fault.New(fault.NotFound, "server %s has no tool %q", s.Handle, clip(tool)).
			WithHint("tools/list shows what it has; a tool that it showed later is taken in by the next apply")
	}
	return Action{Type: authority.MCPTool, Server: server, Tool: t.ID, Name: t.Name, Effect: t.Effect.orWrite()}, t, nil
}

// arguments reads a call's arguments. Values keep the bytes they were sent in,
// for those are what the upstream gets; a number that readers would round
// differently (RFC 8785 section 3.2.2.3) is refused.
func arguments(raw json.RawMessage) (map[string]json.RawMessage, error) {
	if len(raw) == 0 {
		return map[string]json.RawMessage{}, nil
	}
	if _, err := proof.Canonical(raw); err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the arguments are not strict JSON: %v", err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return nil, fault.New(fault.Malformed, "the arguments are not a JSON object")
	}
	var args map[string]json.RawMessage
	if err := json.Unmarshal(raw, &args); err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the arguments are not a JSON object")
	}
	return args, nil
}

// Pin returns the base64url SHA-256 of the JCS form of a tool's definition, and
// "", which equals no pin, when it is not strict JSON.
func Pin(definition json.RawMessage) string {
	b, err := proof.Canonical(definition)
	if err != nil {
		return ""
	}
	return proof.Hash(b)
}

// NameOf returns the name in a tool's definition.
func NameOf(definition json.RawMessage) (string, error) {
	if _, err := proof.Canonical(definition); err != nil {
		return "", fault.Wrap(fault.Upstream, err, "a tool's definition is not strict JSON: %v", err)
	}
	var d map[string]json.RawMessage
	var name string
	// A map and not a struct: encoding/json would take "Name" for "name".
	if json.Unmarshal(definition, &d) != nil || json.Unmarshal(d["name"], &name) != nil || name == "" || len(name) > 128 {
		return "", fault.New(fault.Upstream, "a tool's definition has no name of 1 to 128 bytes")
	}
	return name, nil
}

// EffectOf guesses the effect of a tool from its definition's annotations. They
// are hints of an untrusted server: one that claims to be destructive is
// believed first, one that claims to only read next, and everything else
// writes. The declarative file says better.
func EffectOf(definition json.RawMessage) Effect {
	var d, hints map[string]json.RawMessage
	if json.Unmarshal(definition, &d) != nil || json.Unmarshal(d["annotations"], &hints) != nil {
		return Write
	}
	says := func(hint string) bool { return string(bytes.TrimSpace(hints[hint])) == "true" }
	switch {
	case says("destructiveHint"):
		return Destructive
	case says("readOnlyHint"):
		return Read
	}
	return Write
}

// Known reports whether e is one of the effect classes.
func (e Effect) Known() bool {
	switch e {
	case Read, Write, Destructive, Egress, Payment, Identity:
		return true
	}
	return false
}

func (e Effect) orWrite() Effect {
	if !e.Known() {
		return Write
	}
	return e
}

// clip keeps what a stranger sent from filling a message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
