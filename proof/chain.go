package proof

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/proof/authority"
)

// A link is one hop of a chain as its statement says.
type link struct {
	Statement
	compact    string
	commitment string
	kid        string
	parent     *link            // nil for a root, and for a child whose parent is not here
	limits     authority.Limits // in force under this hop: its own, else its parent's
	holds      bool             // every check of it and of all above it passed
	first      int              // position of the first entry under it; -1 when none
}

// statements verifies every statement and links it to its parent.
func (v *verifier) statements() {
	var all []*link
	commitments := map[string]*link{}
	for n, compact := range v.bundle.Statements {
		s, kid, err := ParseStatement(compact)
		if err != nil {
			v.fail("statement %d: %v", n+1, err)
			continue
		}
		if v.hops[s.ID] != nil {
			v.fail("statement %d: hop %s has another statement", n+1, s.ID)
			continue
		}
		l := &link{Statement: s, compact: compact, commitment: Commitment(compact), kid: kid, first: -1}
		v.hops[s.ID], commitments[l.commitment] = l, l
		all = append(all, l)
		if l.Root() {
			v.roots = append(v.roots, l)
		}
	}
	v.report.Hops = len(all)
	slices.SortStableFunc(all, func(a, b *link) int { return cmp.Compare(a.Depth, b.Depth) })
	for _, l := range all { // parents first
		l.parent = commitments[l.Parent]
		l.holds = v.link(l)
	}
	for i, k := range v.bundle.Keys {
		jkt, _ := Thumbprint(k.JWK)
		if key := v.keys[signer{k.UID, jkt}]; key != nil && !key.used {
			v.fail("key %d, of %.40q, signed nothing here", i+1, k.UID)
		}
	}
}

// A signer is somebody's key, named by its thumbprint.
type signer struct{ uid, jkt string }

// A signingKey is a key of the bundle.
type signingKey struct {
	jwk      []byte
	enrolled int // position of the entry that enrolled it; -1 when none is named
	used     bool
}

// signers reads the keys of the bundle and verifies who enrolled them.
func (v *verifier) signers() {
	for i, k := range v.bundle.Keys {
		jkt, err := Thumbprint(k.JWK)
		id := signer{k.UID, jkt}
		switch {
		case err != nil:
			v.fail("key %d, of %.40q: %v", i+1, k.UID, err)
			continue
		case v.keys[id] != nil:
			v.fail("key %d, of %.40q, is here twice", i+1, k.UID)
			continue
		}
		key := &signingKey{jwk: k.JWK, enrolled: -1}
		v.keys[id] = key
		if k.Entry == "" {
			continue
		}
		at, ok := v.ids[k.Entry]
		if !ok || !slices.ContainsFunc(v.enrolments[k.UID], func(e enrolment) bool {
			_, has := e.keys[jkt]
			return has && e.at == at
		}) {
			v.fail("key %d: entry %.40q did not enrol it for %.40q", i+1, k.Entry, k.UID)
			continue
		}
		key.enrolled = at
	}
}

// link verifies one statement against its key and its parent, which was
// verified before. It reports whether the chain holds down to l.
func (v *verifier) link(l *link) bool {
	before := len(v.report.Problems)
	key := v.keys[signer{l.Issuer, l.kid}]
	if key == nil {
		v.fail("hop %s: no key %s of %s, who signed it, is here", l.ID, l.kid, l.Issuer)
	} else {
		key.used = true
		if _, err := VerifyStatement(l.compact, key.jwk); err != nil {
			v.fail("hop %s: %v", l.ID, err)
		}
	}
	if logOrigin(l.Audience) != v.checkpoint.Origin {
		v.fail("hop %s: is meant for %s, the log is %s", l.ID, l.Audience, v.checkpoint.Origin)
	}
	l.limits = l.Limits
	if !l.Root() {
		if l.parent == nil {
			v.fail("hop %s: the statement of its parent is not here", l.ID)
			return false
		}
		if l.kid != l.parent.Confirm.JKT {
			v.fail("hop %s: was signed with key %s; its parent confirms %s", l.ID, l.kid, l.parent.Confirm.JKT)
		}
		if err := l.parent.attenuates(l.Statement, l.parent.limits); err != nil {
			v.fail("hop %s: %v", l.ID, err)
		}
		if !l.parent.holds {
			v.fail("hop %s: its parent %s does not hold", l.ID, l.parent.ID)
		}
		l.limits = l.Limits.Inherit(l.parent.limits)
	}
	deepest := DefaultMaxDepth
	if l.limits.MaxDepth != nil {
		deepest = *l.limits.MaxDepth
	}
	if l.Depth > deepest {
		v.fail("hop %s: has depth %d, where %d is the deepest", l.ID, l.Depth, deepest)
	}
	return len(v.report.Problems) == before
}

// delegated verifies every entry that names a hop against the chain of its
// statement.
func (v *verifier) delegated() {
	r := &v.report
	for i, e := range v.bundle.Entries {
		l := e.Leaf
		r.Missions = include(r.Missions, l.Mission)
		decided := l.Kind == "decision"
		if decided && l.Decision != "allow" && l.Decision != "deny" && l.Decision != "challenge" {
			v.failAt(i, "decided %.40q", l.Decision)
		}
		agent := strings.HasPrefix(l.Actor, "agt_")
		allowed := l.Decision == "allow" || l.Kind == "issue" && l.Decision == ""
		if l.Hop == "" {
			if l.Delegation != "" {
				v.failAt(i, "names a statement and no hop")
			}
			if allowed && agent {
				v.failAt(i, "allows an agent without a mission; an agent only ever acts under one")
			}
			continue
		}
		if l.Kind == "change" && l.Delegation == "" && !agent {
			continue // a person changed something about the hop
		}
		h := v.hops[l.Hop]
		if h == nil {
			v.failAt(i, "hop %.40q has no statement here", l.Hop)
			continue
		}
		v.under(i, h, allowed)
		if decided && l.Decision == "allow" {
			r.Actions++
			v.action(i, h)
		}
	}
}

// under verifies that the entry at position i belongs to hop h and, when it
// allowed something, that every hop from h up was in force at its time.
func (v *verifier) under(i int, h *link, allowed bool) {
	l := v.bundle.Entries[i].Leaf
	root := h
	for n := h; n != nil; n = n.parent {
		root = n
		if n.first < 0 {
			n.first = i
		}
		if allowed && (l.Time < n.IssuedAt*1_000_000 || l.Time >= n.Expiry*1_000_000) {
			v.failAt(i, "was allowed outside the time of hop %s", n.ID)
		}
	}
	switch {
	case l.Delegation != h.commitment:
		v.failAt(i, "names another statement of hop %s than the one here", h.ID)
	case l.Mission != h.Mission:
		v.failAt(i, "is of mission %s; hop %s is of %s", l.Mission, h.ID, h.Mission)
	case l.Origin != root.Issuer:
		v.failAt(i, "says that %.40q began it; %s signed the mission", l.Origin, root.Issuer)
	case l.Actor != h.Subject && (l.Actor != h.Issuer || l.Kind != "issue" && l.Kind != "change"):
		v.failAt(i, "says that %.40q acted; hop %s is of %s", l.Actor, h.ID, h.Subject)
	case !h.holds:
		v.failAt(i, "the chain of hop %s does not hold", h.ID)
	}
}

// action verifies that an allowed call is inside every authority above it.
func (v *verifier) action(i int, h *link) {
	l, p := v.bundle.Entries[i].Leaf, v.payloads[i]
	call := authority.Request{Type: authority.Type(text(p["type"])), Server: text(p["server"]),
		Action: text(p["action"]), Resource: text(p["resource"])}
	if raw := p["arguments"]; raw != nil {
		if err := json.Unmarshal(raw, &call.Arguments); err != nil {
			v.failAt(i, "payload: arguments are not an object")
			return
		}
	}
	if call.Server != l.Server || call.Action != l.Action {
		v.failAt(i, "the payload is of %.40q on %.40q, the leaf of %.40q on %.40q", call.Action, call.Server, l.Action, l.Server)
	}
	for n := h; n != nil; n = n.parent {
		if n.Authority.Match(call) != authority.Yes {
			v.failAt(i, "allows %.40q on %.40q, which is not inside the authority of hop %s (depth %d)",
				call.Action, call.Server, n.ID, n.Depth)
		}
	}
}

// signatures verifies that the key of every root was enrolled before anything
// was done under it and not withdrawn by then, and reports by what evidence.
func (v *verifier) signatures() {
	for _, l := range v.roots {
		v.report.Origins = include(v.report.Origins, l.Issuer)
		key := v.keys[signer{l.Issuer, l.kid}]
		if key == nil {
			continue // reported with its statement
		}
		last := enrolment{at: -1} // what was true of the person's keys at the first use
		for _, e := range v.enrolments[l.Issuer] {
			if l.first < 0 || e.at < l.first {
				last = e
			}
		}
		evidence, ok := last.keys[l.kid]
		if !ok || key.enrolled < 0 || key.enrolled > last.at {
			v.fail("hop %s: no entry before its first use enrols key %s of %s, or a later one withdrew it", l.ID, l.kid, l.Issuer)
			continue
		}
		v.report.Signatures = append(v.report.Signatures, Signature{Mission: l.Mission, Person: l.Issuer, JKT: l.kid,
			Enrolled: v.bundle.Entries[key.enrolled].Leaf.Index, Evidence: evidence})
	}
}

// include returns list with s in it, once.
func include(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
