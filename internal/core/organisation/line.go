package organisation

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/ledger"
)

// A Line is one change of a plan for people.
type Line struct {
	Verb   Verb     `json:"verb"`
	Kind   string   `json:"kind"` // user, blueprint, tool …
	Handle string   `json:"handle,omitempty"`
	Note   string   `json:"note,omitempty"`
	Effect []Effect `json:"effects,omitempty"`
}

// A Verb is what happens to an object.
type Verb string

// The verbs of a plan. A principal is never removed; one that the document
// leaves out is disabled.
const (
	added   Verb = "add"
	changed Verb = "change"
	removed Verb = "remove"
)

// An Effect is something that an object gains, or loses.
type Effect struct {
	Gains bool   `json:"gains"`
	What  string `json:"what"`
}

// String renders l: "~ blueprint reader: gains files.write_file; loses files.stat".
func (l Line) String() string {
	b := strings.Builder{}
	b.WriteString(map[Verb]string{added: "+ ", changed: "~ ", removed: "- "}[l.Verb])
	b.WriteString(strings.TrimSpace(l.Kind + " " + l.Handle))
	var parts []string
	if l.Note != "" {
		parts = append(parts, l.Note)
	}
	var gains, losses []string
	for _, e := range l.Effect {
		if e.Gains {
			gains = append(gains, e.What)
		} else {
			losses = append(losses, e.What)
		}
	}
	if len(gains) > 0 {
		parts = append(parts, "gains "+strings.Join(gains, ", "))
	}
	if len(losses) > 0 {
		parts = append(parts, "loses "+strings.Join(losses, ", "))
	}
	if len(parts) > 0 {
		b.WriteString(": " + strings.Join(parts, "; "))
	}
	return b.String()
}

func (p *planner) line(v Verb, kind, handle, note string, effects ...Effect) {
	p.lines = append(p.lines, Line{v, kind, handle, note, effects})
}

func verb(had bool) Verb {
	if had {
		return changed
	}
	return added
}

// present is old for put: nil when there was nothing.
func present(old any, had bool) any {
	if !had {
		return nil
	}
	return old
}

func rowOf(kind, key string, v any) ledger.Row {
	return ledger.Row{Kind: kind, Key: key, Body: json.RawMessage(encode(v))}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// union has the keys of both.
func union[K cmp.Ordered, V any](a, b map[K]V) map[K]V {
	out := maps.Clone(a)
	if out == nil {
		out = map[K]V{}
	}
	maps.Copy(out, b)
	return out
}
