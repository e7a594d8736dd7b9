package delegation

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// The bounds of what one statement may hold. The first keeps meets small, which
// multiply items; the second is what a person reads before signing.
const (
	MaxItems  = 64
	MaxIntent = 4096 // bytes
)

// MaxHops is how many hops one mission may ever have. Every hop stays in memory,
// with the agent it made, and any agent of a mission may make more.
const MaxHops = 10_000

// A RootProposal is a mission that a person signed, with what the directory and
// the mapping say about it. The caller has verified the signature over Compact
// with an enrolled key of Statement.Issuer, the audience, that the confirmed key
// is the delegate's, and that the context is open.
type RootProposal struct {
	Statement proof.Statement
	Compact   string
	// Blueprint, Own and Ceiling are those of the delegate's blueprint; Owner is
	// who answers for the delegate.
	Blueprint principal.UID
	Own       bool
	Ceiling   authority.Set
	Owner     principal.UID
	// Frame is what the context's mapping yields, when HasFrame.
	Frame    authority.Set
	HasFrame bool
}

// Root makes a mission and its root hop, or refuses (SEMANTICS section 3): a
// statement that breaks a rule of form is fault.Malformed, one that asks for
// more than the frame and the ceiling hold, or is rooted in somebody who may not
// root it, is fault.Denied. Nothing is ever clipped.
func Root(p RootProposal, now time.Time) (Mission, Hop, error) {
	none := func(err error) (Mission, Hop, error) { return Mission{}, Hop{}, err }
	s := p.Statement
	if err := form(s, p.Blueprint, now); err != nil {
		return none(err)
	}
	issuer := principal.UID(s.Issuer)
	switch {
	case s.Depth != 1 || s.Parent != "":
		return none(malformed("a root has depth 1 and no parent; this statement has depth %d", s.Depth))
	case !issuer.Is(principal.User):
		return none(malformed("iss %.40q is not a user: a mission is signed by a person", s.Issuer))
	case s.Context != "" && !principal.UID(s.Context).Is(principal.Context):
		return none(malformed("context %.40q is not the uid of a context", s.Context))
	case s.Context == "" && p.HasFrame:
		return none(fault.New(fault.Internal, "a frame without a context"))
	case strings.TrimSpace(s.Intent) == "" || len(s.Intent) > MaxIntent || !utf8.ValidString(s.Intent):
		return none(malformed("intent is empty, or longer than %d bytes: say in a sentence what the mission is for", MaxIntent))
	case Rooted(s.Rooted) != UserRooted && Rooted(s.Rooted) != OwnerRooted:
		return none(malformed(`rooted is %.40q; want "user" or "owner"`, s.Rooted))
	case s.OnLimit != "" && OnLimit(s.OnLimit) != DenyOnLimit && OnLimit(s.OnLimit) != AskOnLimit:
		return none(malformed(`onLimit is %.40q; want "deny" or "ask"`, s.OnLimit))
	}
	if Rooted(s.Rooted) == OwnerRooted {
		if !p.Own {
			return none(fault.New(fault.Denied, "blueprint %s does not act on its own account, so its agents cannot have an owner-rooted mission", s.Blueprint).
				WithHint("root the mission in a user, or make the blueprint's entitlement own"))
		}
		if issuer != p.Owner {
			return none(fault.New(fault.Denied, "an owner-rooted mission of %s is signed by its owner %s; this one by %s", s.Subject, p.Owner, issuer))
		}
	}
	if err := inside(s, p.Ceiling, "the ceiling of blueprint "+s.Blueprint); err != nil {
		return none(err)
	}
	if p.HasFrame {
		if err := inside(s, p.Frame, "the frame of context "+s.Context); err != nil {
			return none(err)
		}
	}
	sum, err := hash(s.Authority)
	if err != nil {
		return none(err)
	}
	h := hop(s, p.Compact, now)
	return Mission{ID: h.Mission, Origin: issuer, Rooted: Rooted(s.Rooted), Root: h.ID,
		Intent: s.Intent, IntentHash: proof.Hash([]byte(s.Intent)), AuthorityHash: sum,
		Context: principal.UID(s.Context), Frame: p.Frame, HasFrame: p.HasFrame,
		OnLimit: OnLimit(s.OnLimit), State: Active, Started: now.UTC()}, h, nil
}

// A ChildProposal is a hop that the acting agent of a chain signed. The caller
// has verified the signature over Compact with the key that the parent's
// statement confirms, the audience, and that the delegate holds the key that
// this one confirms.
type ChildProposal struct {
	Statement proof.Statement
	Compact   string
	Blueprint principal.UID // of the delegate
	Ceiling   authority.Set // of that blueprint
	// Children is how many live children the parent has now
	// (Missions.LiveChildren); the commit's charge settles races.
	Children int
	// Hops is how many hops the mission has, live or not (Missions.Hops).
	Hops int
}

// Child makes a hop below the acting hop of c, or refuses (SEMANTICS section 3):
// fault.Malformed for a rule of form, fault.Denied for one that is wider than
// its parent's effective authority, the frame or its blueprint's ceiling, lasts
// longer, goes deeper, is one too many, has a limit above its parent's, or does
// not follow from its parent. Nothing is ever clipped.
func Child(c Chain, p ChildProposal, now time.Time) (Hop, error) {
	if len(c.Hops) == 0 {
		return Hop{}, fault.New(fault.Internal, "a child of an empty chain")
	}
	s, parent := p.Statement, c.Acting()
	if err := form(s, p.Blueprint, now); err != nil {
		return Hop{}, err
	}
	if s.Intent+s.Context+s.Rooted+s.OnLimit != "" {
		return Hop{}, malformed("intent, context, rooted and onLimit are the mission's; a child leaves them out")
	}
	if err := follows(c, s, now); err != nil {
		return Hop{}, err
	}
	bound, deepest := c.Limits(), MaxDepth(c)
	bound.MaxDepth = &deepest // a child does not raise the default either
	if s.Depth > deepest {
		return Hop{}, denied("depth %d is deeper than maxDepth %d", s.Depth, deepest)
	}
	if bound.MaxChildren != nil && p.Children >= *bound.MaxChildren {
		return Hop{}, denied("hop %s has %d live children, its maxChildren is %d: this is one too many", parent.ID, p.Children, *bound.MaxChildren)
	}
	if p.Hops >= MaxHops {
		return Hop{}, denied("mission %s has %d hops, and %d is the most that one may have", c.Mission.ID, p.Hops, MaxHops)
	}
	if end := time.Unix(s.Expiry, 0); end.After(parent.Expiry) {
		return Hop{}, denied("it would last until %s, longer than its parent, until %s", stamp(end), stamp(parent.Expiry))
	}
	if err := s.Limits.Within(bound); err != nil {
		return Hop{}, denied("%v", err)
	}
	if err := inside(s, parent.Effective, "the parent's"); err != nil {
		return Hop{}, err
	}
	if c.Mission.HasFrame {
		if err := inside(s, c.Mission.Frame, "the frame of context "+string(c.Mission.Context)); err != nil {
			return Hop{}, err
		}
	}
	if err := inside(s, p.Ceiling, "the ceiling of blueprint "+s.Blueprint); err != nil {
		return Hop{}, err
	}
	h := hop(s, p.Compact, now)
	h.Parent = parent.ID
	for _, head := range c.Escrow(h.Limits) {
		h.Escrow = head.Limits.Inherit(h.Escrow)
	}
	return h, nil
}

// follows refuses a statement that does not come from the acting hop of a chain
// that is live.
func follows(c Chain, s proof.Statement, now time.Time) error {
	parent := c.Acting()
	switch {
	case s.Mission != string(parent.Mission) || parent.Mission != c.Mission.ID:
		return denied("it is of mission %s, its parent of %s", s.Mission, parent.Mission)
	case s.Issuer != string(parent.Delegate):
		return denied("it is delegated by %s; its parent was delegated to %s", s.Issuer, parent.Delegate)
	case s.Parent == "" || s.Parent != parent.Commitment:
		return denied("its parent commitment is not that of hop %s", parent.ID)
	case s.Depth != parent.Depth+1:
		return denied("depth %d does not follow its parent's %d", s.Depth, parent.Depth)
	case c.Mission.State != Active:
		return denied("mission %s is %s", c.Mission.ID, c.Mission.State)
	}
	for _, h := range c.Hops {
		if h.State != Active {
			return denied("hop %s above it is %s", h.ID, h.State)
		}
		if !h.Live(now) {
			return denied("hop %s above it was over at %s", h.ID, stamp(h.Expiry))
		}
	}
	return nil
}

// form refuses what is wrong with a statement alone, at an instant. An issue
// time ahead of the server's clock is refused, because the ledger would then
// hold actions from before their mandate.
func form(s proof.Statement, blueprint principal.UID, now time.Time) error {
	for _, m := range [...]struct {
		name, v string
		want    principal.Prefix
	}{{"sub", s.Subject, principal.Agent}, {"jti", s.ID, principal.Hop}, {"mission", s.Mission, principal.Mission}, {"blueprint", s.Blueprint, principal.Blueprint}} {
		if !principal.UID(m.v).Is(m.want) {
			return malformed("%s %.40q is not a uid of type %s", m.name, m.v, m.want)
		}
	}
	switch {
	case s.Expiry <= 0:
		return malformed("exp is missing: every statement says when it ends")
	case s.IssuedAt <= 0 || s.Expiry <= s.IssuedAt:
		return malformed("iat %d and exp %d are not an interval", s.IssuedAt, s.Expiry)
	case s.IssuedAt > now.Unix():
		return malformed("it was signed at %s, which is still to come; compare the clocks", stamp(time.Unix(s.IssuedAt, 0)))
	case s.Expiry <= now.Unix():
		return denied("it was over at %s", stamp(time.Unix(s.Expiry, 0)))
	case s.Confirm.JKT == "":
		return malformed("cnf.jkt is missing: a hop is bound to its delegate's key")
	case len(s.Authority) > MaxItems:
		return malformed("authority has %d items, at most %d are allowed", len(s.Authority), MaxItems)
	}
	if principal.UID(s.Blueprint) != blueprint {
		return denied("it names blueprint %s; %s is of blueprint %s", s.Blueprint, s.Subject, blueprint)
	}
	if err := s.Authority.Validate(); err != nil {
		return malformed("%v", err)
	}
	if err := s.Limits.Validate(); err != nil {
		return malformed("%v", err)
	}
	return nil
}

// inside refuses an authority with an item that bound does not cover.
func inside(s proof.Statement, bound authority.Set, whose string) error {
	ok, at := s.Authority.Subset(bound)
	if ok {
		return nil
	}
	what := s.Authority[at].String()
	if r := []rune(what); len(r) > 160 {
		what = string(r[:159]) + "…"
	}
	return fault.New(fault.Denied, "authority item %d (%s) is not inside %s", at+1, what, whose).
		WithHint("narrow the item or leave it out; a hop is refused, never clipped")
}

// hop is what a statement that was accepted becomes.
func hop(s proof.Statement, compact string, now time.Time) Hop {
	return Hop{ID: principal.UID(s.ID), Mission: principal.UID(s.Mission),
		Delegator: principal.UID(s.Issuer), Delegate: principal.UID(s.Subject), Blueprint: principal.UID(s.Blueprint),
		Authority: s.Authority, Effective: s.Authority, Limits: s.Limits,
		Expiry: time.Unix(s.Expiry, 0).UTC(), Depth: s.Depth, JKT: s.Confirm.JKT,
		Statement: compact, Commitment: proof.Commitment(compact), State: Active, Made: now.UTC()}
}

// hash returns the base64url SHA-256 of the canonical form of an authority.
func hash(a authority.Set) (string, error) {
	b, err := json.Marshal(a)
	if err == nil {
		b, err = proof.Canonical(b)
	}
	if err != nil {
		return "", fault.Wrap(fault.Malformed, err, "the authority has no canonical form")
	}
	return proof.Hash(b), nil
}

func malformed(format string, args ...any) error {
	return fault.New(fault.Malformed, "the hop is malformed: "+format, args...)
}

func denied(format string, args ...any) error {
	return fault.New(fault.Denied, "the hop is refused: "+format, args...)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
