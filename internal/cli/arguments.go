package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof/authority"
)

// arguments reads --arg flags: name=text, or name:=JSON for what is not text.
func arguments(list []string) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		raw, err := encode(value)
		if err != nil {
			return nil, err
		}
		if n, isJSON := strings.CutSuffix(name, ":"); isJSON {
			name, raw = n, []byte(value)
			ok = ok && json.Valid(raw)
		}
		if _, twice := out[name]; !ok || name == "" || twice {
			return nil, usage{"--arg takes name=text or name:=JSON, each name once; not " + s}
		}
		out[name] = raw
	}
	return out, nil
}

// constraint widens a shorthand as organisations' files have it: a scalar is
// exact, a list is oneOf, an object is the constraint itself.
func constraint(raw json.RawMessage) json.RawMessage {
	switch {
	case bytes.HasPrefix(raw, []byte("{")):
		return raw
	case bytes.HasPrefix(raw, []byte("[")):
		return fmt.Appendf(nil, `{"oneOf":%s}`, raw)
	}
	return fmt.Appendf(nil, `{"exact":%s}`, raw)
}

// oneTool is the authority to call one tool with arguments within constraints;
// without any it may be called without arguments only.
func oneTool(action string, args map[string]json.RawMessage) (authority.Set, error) {
	server, tool, ok := strings.Cut(action, ".")
	if !ok || server == "" || tool == "" {
		return nil, usage{"--tool takes server.tool, not " + action}
	}
	constraints := map[string]json.RawMessage{}
	for name, raw := range args {
		constraints[name] = constraint(raw)
	}
	raw, err := encode([]any{map[string]any{"type": authority.MCPTool, "server": server, "actions": []string{tool}, "arguments": constraints}})
	if err != nil {
		return nil, err
	}
	set, err := authority.Parse(raw)
	if err != nil {
		return nil, usage{"--arg: " + err.Error()}
	}
	return set, nil
}

// readAuthority reads a file with a list of items, YAML or JSON, spelled as a
// ceiling is in an organisation's file.
func readAuthority(name string) (authority.Set, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the authority cannot be read: %v", err)
	}
	d, err := parseYAML(name, data)
	if err != nil {
		return nil, err
	}
	raw, err := d.json(d.root)
	if err != nil {
		return nil, err
	}
	wide, err := widen(raw)
	if err != nil {
		return nil, d.fault(d.root, "the authority has to be a list of items")
	}
	set, err := authority.Parse(wide)
	if flaw, ok := err.(*authority.Error); ok {
		return nil, d.fault(d.at(flaw.Path), "this %s", flaw.Reason)
	}
	return set, err
}

// widen adds to each item the type it leaves out, and spells its shorthands out.
// What is not of the expected shape stays for the authority's own parser to name.
func widen(raw json.RawMessage) (json.RawMessage, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	for i, item := range items {
		var m map[string]json.RawMessage
		if json.Unmarshal(item, &m) != nil || m == nil {
			continue
		}
		if m["type"] == nil {
			m["type"] = json.RawMessage(`"` + authority.MCPTool + `"`)
		}
		if m["resource"] != nil {
			m["resource"] = constraint(m["resource"])
		}
		var args map[string]json.RawMessage
		if json.Unmarshal(m["arguments"], &args) == nil {
			for name, c := range args {
				args[name] = constraint(c)
			}
			b, err := encode(args)
			if err != nil {
				return nil, err
			}
			m["arguments"] = b
		}
		b, err := encode(m)
		if err != nil {
			return nil, err
		}
		items[i] = b
	}
	return encode(items)
}

// rate reads N/DURATION: 20/10m.
func rate(s string) (*authority.Rate, error) {
	n, per, ok := strings.Cut(s, "/")
	calls, err := strconv.ParseInt(n, 10, 64)
	window, err2 := time.ParseDuration(per)
	if !ok || err != nil || err2 != nil || window < time.Second || window%time.Second != 0 {
		return nil, usage{"--rate takes calls/duration, as in 20/10m; not " + s}
	}
	return &authority.Rate{N: calls, Per: int64(window / time.Second)}, nil
}
