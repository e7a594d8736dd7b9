package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Tell returns the Story of a mission's Entries in log.
func Tell(ctx context.Context, log ledger.Log, tenant, mission principal.UID) (Tree, error) {
	entries, err := Entries(ctx, log, tenant, mission)
	if err != nil {
		return Tree{}, err
	}
	return Story(entries)
}

// Story tells the entries of one mission, and the changes that touched it, in
// the order given. It is a pure function of them: labels are those of the time.
// Each entry stands at exactly one node. It fails with fault.Malformed when
// there is none, or when anything but changes is of a second mission.
func Story(entries []ledger.Stored) (Tree, error) {
	t := &teller{
		names: map[principal.UID]string{}, hops: map[principal.UID]delegation.Hop{}, acts: map[string]*act{},
		branches: map[principal.UID]*Node{}, groups: map[string]*group{},
		tree: Tree{Root: &Node{Kind: Mission}, Entries: len(entries)},
	}
	payloads, err := t.learn(entries)
	if err != nil {
		return Tree{}, err
	}
	for i, s := range entries {
		t.place(payloads[i], s)
	}
	for _, a := range t.acts {
		if a.node.Result == "" {
			t.unknown(a, "no outcome was recorded")
		}
	}
	return t.tree, nil
}

// A teller is one story being told.
type teller struct {
	tree     Tree
	mission  delegation.Mission // zero when its payload was erased
	concern  *concern
	names    map[principal.UID]string
	hops     map[principal.UID]delegation.Hop
	branches map[principal.UID]*Node // of child hops
	acts     map[string]*act         // allowed decisions by entry uid
	groups   map[string]*group
}

// An act is an allowed call that waits for its outcome.
type act struct {
	node    *Node
	who     string
	payload payload
	stored  ledger.Stored
}

// A group is one node for many like entries: renewals, lists, pings.
type group struct {
	node  *Node
	about []string
}

// learn reads what has to be known before anything can be told: whose mission it
// is, its hops, and what everything was called.
func (t *teller) learn(entries []ledger.Stored) ([]payload, error) {
	payloads := make([]payload, len(entries))
	for i, s := range entries {
		var err error
		if payloads[i], err = read(s); err != nil {
			return nil, err
		}
		if id := principal.UID(s.Leaf.Mission); id != "" && s.Leaf.Kind != string(ledger.Change) {
			if t.tree.Mission != "" && t.tree.Mission != id {
				return nil, fault.New(fault.Malformed, "a story is of one mission; these entries are of %s and %s", t.tree.Mission, id)
			}
			t.tree.Mission = id
		}
		for id, name := range payloads[i].Names {
			if t.names[id] == "" && name != string(id) {
				t.names[id] = name
			}
		}
		if p := payloads[i]; p.ServerName != "" && s.Leaf.Server != "" {
			t.names[principal.UID(s.Leaf.Server)] = p.ServerName
		}
	}
	for i, s := range entries { // a mission that nothing was done in has its changes only
		if t.tree.Mission == "" {
			t.tree.Mission = principal.UID(s.Leaf.Mission)
		}
		for _, h := range payloads[i].made(s, t.tree.Mission) {
			if _, known := t.hops[h.ID]; !known {
				t.hops[h.ID] = h
			}
		}
		for _, r := range payloads[i].Rows {
			if m := body[delegation.Mission](r); r.Kind == "mission" && m.ID == t.tree.Mission && t.mission.ID == "" {
				t.mission = m
			}
		}
	}
	if t.tree.Mission == "" {
		return nil, fault.New(fault.Malformed, "a story needs the entries of a mission; there are %d entries and none is of one", len(entries))
	}
	t.concern = concerning(t.tree.Mission)
	for i, s := range entries {
		if s.Leaf.Mission == string(t.tree.Mission) {
			t.concern.learn(payloads[i], s)
		}
	}
	t.begin(entries)
	return payloads, nil
}

// begin words the root.
func (t *teller) begin(entries []ledger.Stored) {
	root := t.tree.Root
	t.tree.Origin, t.tree.Intent = t.mission.Origin, t.mission.Intent
	for _, s := range entries {
		if t.tree.Origin == "" && s.Leaf.Hop != "" {
			t.tree.Origin = principal.UID(s.Leaf.Origin)
		}
	}
	root.Actor, root.Hop = t.tree.Origin, t.mission.Root
	asked := "somebody"
	if t.tree.Origin != "" {
		asked = t.label(payload{}, t.tree.Origin)
	}
	h, known := t.hops[t.mission.Root]
	if !known {
		root.Text = asked + " began mission " + plain(string(t.tree.Mission), maxWord) + " (what was asked was erased)"
		return
	}
	root.Text = asked + " asked " + t.label(payload{}, h.Delegate) + " to " + plain(t.mission.Intent, maxSentence)
	root.Given = t.given(payload{}, h)
}

// place puts an entry where it belongs.
func (t *teller) place(p payload, s ledger.Stored) {
	allowed := s.Leaf.Decision == "allow"
	switch ledger.Kind(s.Leaf.Kind) {
	case ledger.Decision:
		t.decision(p, s)
	case ledger.Outcome:
		t.came(p, s)
	case ledger.Issue:
		t.issued(p, s)
	case ledger.Check, ledger.List:
		if !allowed {
			n, who := t.follow(Session, p, s)
			t.refuse(n, who, t.call(p, s), p, s)
			return
		}
		t.session(p, s)
	case ledger.Change:
		t.changed(p, s)
	default:
		n, who := t.follow(Odd, p, s)
		n.Text = who + "entry of kind " + plain(s.Leaf.Kind, maxWord)
	}
}

// at returns the node under which what a hop did is told, and how a sentence
// there begins: under a delegation its delegate goes without saying.
func (t *teller) at(p payload, s ledger.Stored) (under *Node, who string) {
	hop := principal.UID(s.Leaf.Hop)
	if h, known := t.hops[hop]; known && h.Parent != "" {
		return t.branch(h), ""
	}
	return t.tree.Root, t.label(p, principal.UID(s.Leaf.Actor)) + " "
}

// branch returns the node of a child hop, making it and those above it.
func (t *teller) branch(h delegation.Hop) *Node {
	if n := t.branches[h.ID]; n != nil {
		return n
	}
	n := &Node{Kind: Delegation, Actor: h.Delegate, Hop: h.ID, Given: t.given(payload{}, h),
		Text: t.label(payload{}, h.Delegate) + ", working for " + t.label(payload{}, h.Delegator)}
	t.branches[h.ID] = n
	under := t.tree.Root
	if parent, known := t.hops[h.Parent]; known && parent.Parent != "" && t.rooted(h) {
		under = t.branch(parent)
	}
	under.Next = append(under.Next, n)
	return n
}

// rooted reports whether the way up from h ends: in a damaged ledger a hop may
// be its own ancestor.
func (t *teller) rooted(h delegation.Hop) bool {
	for range t.hops {
		parent, known := t.hops[h.Parent]
		if !known || parent.Parent == "" {
			return true
		}
		h = parent
	}
	return false
}

// follow makes the node of s.
func (t *teller) follow(k Kind, p payload, s ledger.Stored) (n *Node, who string) {
	under, who := t.at(p, s)
	n = &Node{Kind: k, Actor: principal.UID(s.Leaf.Actor), Hop: principal.UID(s.Leaf.Hop)}
	n.note(s)
	under.Next = append(under.Next, n)
	return n, who
}

// note puts s at n.
func (n *Node) note(s ledger.Stored) {
	if len(n.Entries) == 0 {
		n.At = time.UnixMicro(s.Leaf.Time).UTC()
	}
	n.Entries = append(n.Entries, Ref{principal.UID(s.Leaf.ID), s.Leaf.Index})
}

// decision tells a call. Of an allowed one the sentence waits for its outcome.
func (t *teller) decision(p payload, s ledger.Stored) {
	n, who := t.follow(Call, p, s)
	if s.Leaf.Decision == "allow" {
		t.acts[s.Leaf.ID] = &act{n, who, p, s}
		return
	}
	t.refuse(n, who, t.call(p, s), p, s)
}

// came completes a call with its outcome. One that answers nothing, or again, is
// told as what it is.
func (t *teller) came(p payload, s ledger.Stored) {
	a := t.acts[s.Leaf.Parent]
	if a == nil || a.node.Result != "" {
		n, who := t.follow(Odd, p, s)
		why := "no allowed call of this mission"
		if a != nil {
			why = "a call that has one already"
		}
		n.Text = who + "has an outcome of " + plain(s.Leaf.Action, maxWord) + " recorded that answers " + why
		return
	}
	t.outcome(a, p)
	a.node.note(s)
}

// issued tells a credential: with a delegation it begins the branch of the hop
// that was made; otherwise those of one hop are told together.
func (t *teller) issued(p payload, s ledger.Stored) {
	server := p.server(s)
	if s.Leaf.Decision != "allow" {
		n, who := t.follow(Token, p, s)
		if p.Hop == nil {
			t.refuse(n, who, "a token for "+plain(cmp.Or(server, "a server"), maxWord), p, s)
			return
		}
		t.refuse(n, who, "a delegation to "+t.label(p, p.Hop.Delegate), p, s)
		n.Why += " · asked for: " + t.given(p, *p.Hop)
		return
	}
	if h, known := t.hops[principal.UID(s.Leaf.Hop)]; known && h.Parent != "" && p.Kind == "child" {
		n := t.branch(h)
		if len(n.Entries) == 0 {
			n.note(s)
			return
		}
	}
	g, who := t.gather(Token, p, s, "")
	g.add(server)
	g.node.Text = who + "proved itself and took " + count(len(g.node.Entries), "token") + g.list(" for ")
}

// session tells lists and checks, those of one hop and server together.
func (t *teller) session(p payload, s ledger.Stored) {
	g, who := t.gather(Session, p, s, s.Leaf.Kind+" "+s.Leaf.Server)
	server := p.server(s)
	if server == "" {
		server = t.label(p, principal.UID(s.Leaf.Server))
	}
	text := who + "kept a session with " + plain(server, maxWord)
	if s.Leaf.Kind == string(ledger.List) {
		text = who + "listed the tools of " + plain(server, maxWord)
		if len(s.Payload) > 0 {
			text += ": " + count(len(p.Listed), "tool") + " shown"
		}
	} else {
		g.add(s.Leaf.Action)
		text += g.list(": ")
	}
	if n := len(g.node.Entries); n > 1 {
		text += fmt.Sprintf(" · %d times", n)
	}
	g.node.Text = text
}

// gather returns the group of s, made at the first entry of its kind.
func (t *teller) gather(k Kind, p payload, s ledger.Stored, key string) (*group, string) {
	id := strings.Join([]string{string(k), s.Leaf.Hop, s.Leaf.Actor, key}, "\n")
	if g := t.groups[id]; g != nil {
		g.node.note(s)
		_, who := t.at(p, s)
		return g, who
	}
	n, who := t.follow(k, p, s)
	n.Result = Done
	g := &group{node: n}
	t.groups[id] = g
	return g, who
}

func (g *group) add(name string) {
	if name != "" && !slices.Contains(g.about, name) {
		g.about = append(g.about, name)
	}
}

// list renders what g is about behind a word, nothing when that is unknown.
func (g *group) list(word string) string {
	if len(g.about) == 0 {
		return ""
	}
	names := make([]string, 0, maxWords+1)
	for i, n := range g.about {
		if i == maxWords {
			names = append(names, fmt.Sprintf("%d more", len(g.about)-i))
			break
		}
		names = append(names, plain(n, maxWord))
	}
	return word + strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// changed tells a change: the one that began the mission is the root itself, one
// of a child hop alone is told under it.
func (t *teller) changed(p payload, s ledger.Stored) {
	root := t.tree.Root
	begins := slices.ContainsFunc(p.Rows, func(r ledger.Row) bool {
		h := body[delegation.Hop](r)
		return r.Kind == "hop" && h.ID == t.mission.Root && h.Mission == t.tree.Mission && h.State == delegation.Active
	})
	if begins && len(root.Entries) == 0 {
		root.note(s)
		return
	}
	n := &Node{Kind: Change, Actor: principal.UID(s.Leaf.Actor), Text: t.change(p, s)}
	n.note(s)
	under := root
	if len(p.Rows) == 1 && p.Rows[0].Kind == "hop" {
		if h, known := t.hops[principal.UID(p.Rows[0].Key)]; known && h.Parent != "" {
			under, n.Hop = t.branch(h), h.ID
		}
	}
	under.Next = append(under.Next, n)
}
