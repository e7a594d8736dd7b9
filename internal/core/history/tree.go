package history

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ambit-iam/ambit/internal/principal"
)

// A Tree is the story of one mission: what was asked, what each agent did, was
// refused and handed on, and what ended it. Every entry it was told from stands
// at exactly one node.
type Tree struct {
	Mission principal.UID `json:"mission"`
	Origin  principal.UID `json:"origin"` // the person whose intent began it
	Intent  string        `json:"intent,omitempty"`
	Root    *Node         `json:"root"`
	Entries int           `json:"entries"` // how many it was told from
	// Unknown counts the allowed calls of which nobody knows what came.
	Unknown int `json:"unknown"`
}

// A Node is one thing that happened, and what followed from it.
type Node struct {
	Kind   Kind   `json:"kind"`
	Text   string `json:"text"` // one sentence, safe to print: labels, no control characters
	Result Result `json:"result,omitempty"`
	// Given says what a mission or delegation permits; Why, which link and stage
	// a refusal rests on and for what reason. Both are as safe to print as Text.
	Given   string        `json:"given,omitempty"`
	Why     string        `json:"why,omitempty"`
	At      time.Time     `json:"at,omitzero"` // of the first entry
	Actor   principal.UID `json:"actor,omitempty"`
	Hop     principal.UID `json:"hop,omitempty"` // that acted, or that was made
	Entries []Ref         `json:"entries"`
	Next    []*Node       `json:"next,omitempty"` // in the order they happened
}

// A Ref names an entry by its uid and its number, the index in the log; -1 when
// it has none yet.
type Ref struct {
	ID    principal.UID `json:"id"`
	Index int64         `json:"index"`
}

// A Kind is what a node is about.
type Kind string

// The kinds of node.
const (
	Mission    Kind = "mission"    // somebody asked; the root
	Delegation Kind = "delegation" // an agent handed a part of it on
	Call       Kind = "call"       // a call that was decided, with its outcome
	Session    Kind = "session"    // listing tools, keeping a connection
	Token      Kind = "token"      // a credential was issued or refused
	Change     Kind = "change"     // something else changed, and mattered
	Odd        Kind = "odd"        // an entry that has no place: an outcome nobody decided on
)

// A Result is what became of what a node tells.
type Result string

// The results of a call; a refusal may also be of a session, token or delegation.
const (
	Done     Result = "done"
	Failed   Result = "failed"  // allowed; the server answered with an error
	Unsent   Result = "unsent"  // allowed; nothing reached the server
	Unknown  Result = "unknown" // allowed; what came of it is not known
	Refused  Result = "refused"
	Approval Result = "approval" // not allowed without an approval
)

// textWidth is where entry numbers stand when the sentences before them fit.
const textWidth = 72

// Text writes t for people: a line a node, drawn as a tree, with entry numbers,
// and under it what was given or why not.
func (t Tree) Text(w io.Writer) error {
	if t.Root == nil {
		return nil
	}
	lines := t.Root.draw(nil, "", "")
	switch t.Unknown {
	case 0:
	case 1:
		lines = append(lines, line{text: "of 1 call it is not known what came of it"})
	default:
		lines = append(lines, line{text: fmt.Sprintf("of %d calls it is not known what came of them", t.Unknown)})
	}
	column := 0
	for _, l := range lines {
		if n := utf8.RuneCountInString(l.text); l.entries != "" && n <= textWidth {
			column = max(column, n)
		}
	}
	b := bufio.NewWriter(w)
	for _, l := range lines {
		b.WriteString(l.text)
		if l.entries != "" {
			b.WriteString(strings.Repeat(" ", max(0, column-utf8.RuneCountInString(l.text))+3))
			b.WriteString(l.entries)
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}

type line struct{ text, entries string }

// draw appends the lines of n, the first behind first, those under it behind rest.
func (n *Node) draw(lines []line, first, rest string) []line {
	lines = append(lines, line{first + n.Text, n.numbers()})
	stem := "   "
	if len(n.Next) > 0 {
		stem = "│  "
	}
	if n.Given != "" {
		lines = append(lines, line{text: rest + stem + "given: " + n.Given})
	}
	if n.Why != "" {
		lines = append(lines, line{text: rest + stem + n.Why})
	}
	for i, next := range n.Next {
		if i < len(n.Next)-1 {
			lines = next.draw(lines, rest+"├─ ", rest+"│  ")
		} else {
			lines = next.draw(lines, rest+"└─ ", rest+"   ")
		}
	}
	return lines
}

// numbers renders the entries of n: a call's as decision → outcome.
func (n *Node) numbers() string {
	if len(n.Entries) == 0 {
		return ""
	}
	parts := make([]string, len(n.Entries))
	for i, e := range n.Entries {
		parts[i] = fmt.Sprint(e.Index)
		if e.Index < 0 {
			parts[i] = "not yet numbered"
		}
	}
	last := parts[len(parts)-1]
	switch {
	case len(parts) == 1:
		return "entry " + last
	case n.Kind == Call:
		return "entry " + strings.Join(parts, " → ")
	case len(parts) > 4:
		return fmt.Sprintf("entries %s … %s (%d)", parts[0], last, len(parts))
	}
	return "entries " + strings.Join(parts, ", ")
}
