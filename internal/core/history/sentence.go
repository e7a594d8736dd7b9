package history

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

const (
	maxSentence = 240 // code points of a reason or an intent
	maxWord     = 48  // of a name or an argument
	maxWords    = 4   // arguments of one call
)

// plain makes text that somebody else wrote safe to stand in a sentence and on
// a terminal: quoted when anything in it does not print, and cut at most.
func plain(s string, most int) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		s = strconv.Quote(s)
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

// name names somebody or something as the entry at hand named it, else as any
// entry of the story did, else by its uid.
func (t *teller) name(p payload, uid principal.UID) string {
	if uid == principal.System {
		return "Ambit"
	}
	if name := p.Names[uid]; name != "" && name != string(uid) {
		return name
	}
	return cmp.Or(t.names[uid], string(uid))
}

// label is name, safe to print.
func (t *teller) label(p payload, uid principal.UID) string { return plain(t.name(p, uid), maxWord) }

// describe says what an authority permits.
func (t *teller) describe(p payload, a authority.Set, most int) string {
	return plain(a.Describe(func(srv string) string { return t.name(p, principal.UID(srv)) }), most)
}

// thing names a resource: "patient:P1" is "patient P1".
func thing(resource string) string {
	typ, id, ok := strings.Cut(resource, ":")
	if !ok {
		return plain(resource, maxWord)
	}
	return plain(typ, maxWord) + " " + plain(id, maxWord)
}

// tool names what was called: "records.read".
func (t *teller) tool(p payload, s ledger.Stored) string {
	server := p.server(s)
	if server == "" && s.Leaf.Server != "" {
		server = t.label(p, principal.UID(s.Leaf.Server))
	}
	if server == "" {
		return plain(s.Leaf.Action, maxWord)
	}
	return plain(server, maxWord) + "." + plain(s.Leaf.Action, maxWord)
}

// call says what was called on what, with which arguments; the one that is the
// resource is not said twice.
func (t *teller) call(p payload, s ledger.Stored) string {
	out := t.tool(p, s)
	if p.Resource != "" {
		out += " on " + thing(p.Resource)
	}
	return out + arguments(p, s)
}

func arguments(p payload, s ledger.Stored) string {
	if len(s.Payload) == 0 {
		return " (arguments erased)"
	}
	_, id, _ := strings.Cut(p.Resource, ":")
	var said []string
	for _, name := range slices.Sorted(maps.Keys(p.Arguments)) {
		if v := value(p.Arguments[name]); p.Resource == "" || v != id {
			said = append(said, plain(name, maxWord)+" "+v)
		}
	}
	if more := len(said) - maxWords; more > 0 {
		said = append(said[:maxWords], fmt.Sprintf("%d more", more))
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, ", ") + ")"
}

func value(raw json.RawMessage) string { return plain(authority.Value{Raw: raw}.String(), maxWord) }

// outcome tells at a's node what came of the call that a allowed.
func (t *teller) outcome(a *act, o payload) {
	n, call := a.node, t.call(a.payload, a.stored)
	switch o.Status {
	case "ok":
		n.Result, n.Text = Done, a.who+"used "+call+" · "+size(o.Bytes)
		if p := a.payload; p.Effect == mapping.Read && p.Resource != "" {
			n.Text = a.who + "read " + thing(p.Resource) + " with " + t.tool(p, a.stored) + arguments(p, a.stored) + " · " + size(o.Bytes)
		}
	case "error":
		n.Result, n.Text = Failed, a.who+"used "+call+" · answered with an error, "+size(o.Bytes)
	case "unsent":
		n.Result, n.Text = Unsent, a.who+"was allowed "+call+" · nothing was sent"
	case "lost":
		t.unknown(a, "no answer came back")
	case "":
		t.unknown(a, "what came of it was erased")
	default:
		t.unknown(a, "the record does not say")
	}
}

// unknown tells that nobody knows what came of an allowed call, and why so.
func (t *teller) unknown(a *act, why string) {
	a.node.Result, a.node.Why = Unknown, why
	a.node.Text = a.who + "was allowed " + t.call(a.payload, a.stored) + " · outcome not known"
	t.tree.Unknown++
}

func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1000*1000))
}

// refuse tells at n that what was not allowed, where that was decided, and why.
func (t *teller) refuse(n *Node, who, what string, p payload, s ledger.Stored) {
	n.Text, n.Result = who+"was refused "+what, Refused
	if s.Leaf.Decision == "challenge" {
		n.Text, n.Result = who+"needs approval for "+what, Approval
	}
	var why []string
	reason := p.Reason
	if f := p.binding(); f != nil {
		why = append(why, fmt.Sprintf("link %d, %s", f.Link, t.label(p, f.Principal)), plain(f.Stage, maxWord))
		reason = cmp.Or(f.Reason, reason)
	} else if s.Leaf.Binding != "" {
		why = append(why, plain(s.Leaf.Binding, maxWord))
	}
	if reason != "" {
		why = append(why, plain(reason, maxSentence))
	}
	n.Why = strings.Join(why, " · ")
}

// binding returns the finding that a refusal rests on, nil when it is not told.
func (p payload) binding() *finding {
	if p.Binding != nil {
		return p.Binding
	}
	for i := range p.Reasons {
		if !p.Reasons[i].Passed {
			return &p.Reasons[i]
		}
	}
	return nil
}

// given says what a hop permits.
func (t *teller) given(p payload, h delegation.Hop) string {
	parts := []string{t.describe(p, h.Authority, 4*maxSentence)}
	if !h.Expiry.IsZero() {
		until := "until " + h.Expiry.UTC().Format("2006-01-02 15:04:05") + " UTC"
		from := h.Made
		if st, _, err := proof.ParseStatement(h.Statement); err == nil {
			from = time.Unix(st.IssuedAt, 0) // a moment before it was made, in whole seconds
		}
		if lasts := h.Expiry.Sub(from).Round(time.Second); !from.IsZero() && lasts > 0 {
			until = "for " + lasting(lasts) + ", " + until
		}
		parts = append(parts, until)
	}
	l := h.Limits
	for _, n := range []struct {
		most *int64
		what string
	}{{l.Calls, "calls"}, {l.Cost, "of cost"}, {l.Rows, "rows"}} {
		if n.most != nil {
			parts = append(parts, fmt.Sprintf("%d %s", *n.most, n.what))
		}
	}
	if l.Rate != nil {
		parts = append(parts, "at most "+l.Rate.String())
	}
	return strings.Join(parts, " · ")
}

// lasting renders a duration as people say it.
func lasting(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		one  string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d >= u.unit && d%u.unit == 0 {
			if n := d / u.unit; n > 1 {
				return fmt.Sprintf("%d %ss", n, u.one)
			}
			return "1 " + u.one
		}
	}
	return d.String()
}

// change says what a change entry took from the mission or gave back, row by row, and nothing
// of its other rows; where none took anything, what its summary says.
func (t *teller) change(p payload, s ledger.Stored) string {
	var said []string
	for i, r := range p.Rows {
		switch {
		case !t.concern.taken(r):
		case r.Kind != "tuple":
			said = append(said, t.ended(p, r))
		case len(p.Summary) == len(p.Rows): // a line a row, with labels of the time
			said = append(said, plain(p.Summary[i], maxSentence))
		case r.Body != nil:
			said = append(said, "relation "+t.relabel(r.Key)+" was written again")
		default:
			said = append(said, "relation "+t.relabel(r.Key)+" was removed")
		}
	}
	if len(said) == 0 {
		for _, l := range p.Summary {
			said = append(said, plain(l, maxSentence))
		}
	}
	switch {
	case len(said) == 0 && len(s.Payload) == 0:
		said = []string{plain(s.Leaf.Action, maxWord) + " (what it changed was erased)"}
	case len(said) == 0:
		said = []string{plain(s.Leaf.Action, maxWord)}
	}
	if more := len(said) - maxWords; more > 0 {
		said = append(said[:maxWords], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, "; ") + ", by " + t.label(p, principal.UID(s.Leaf.Actor))
}

// ended says what became of the object of a row that ends something.
func (t *teller) ended(p payload, r ledger.Row) string {
	name := t.label(p, principal.UID(r.Key))
	if name == r.Key && r.Handle != "" {
		name = plain(r.Handle, maxWord)
	}
	if r.Body == nil {
		return plain(r.Kind, maxWord) + " " + name + " was removed"
	}
	switch r.Kind {
	case "context":
		c := body[directory.Context](r)
		return plain(c.Type, maxWord) + " " + plain(c.Handle, maxWord) + " was closed"
	case "mission":
		return "the mission was ended (" + plain(string(body[delegation.Mission](r).State), maxWord) + ")"
	case "hop":
		h := body[delegation.Hop](r)
		if h.State == delegation.Active {
			return t.label(p, h.Delegate) + " was narrowed to " + t.describe(p, h.Effective, maxSentence)
		}
		return "the delegation to " + t.label(p, h.Delegate) + " was revoked"
	case "server":
		return "server " + name + " was revoked"
	case "tool":
		tool := body[mapping.Tool](r)
		return "tool " + t.label(p, tool.Server) + "." + plain(tool.Name, maxWord) + " was revoked"
	}
	state := body[struct {
		State directory.State `json:"state"`
	}](r).State
	return plain(r.Kind, maxWord) + " " + name + " was " + plain(string(state), maxWord)
}

// relabel puts labels in place of the uids in a tuple.
func (t *teller) relabel(tuple string) string {
	var b strings.Builder
	for rest := tuple; rest != ""; {
		n := strings.IndexAny(rest, ":#@")
		if n < 0 {
			n = len(rest)
		}
		b.WriteString(cmp.Or(t.names[principal.UID(rest[:n])], rest[:n]))
		rest = rest[n:]
		if rest != "" {
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return plain(b.String(), maxSentence)
}
