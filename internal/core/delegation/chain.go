package delegation

import (
	"slices"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Chain walks from a hop to the root of its mission and verifies that the path
// is unbroken: every parent is there, in the same mission, one less deep, and
// delegated to the one who delegates on; the top is the root that the mission
// names, delegated by its origin. It does not ask whether anything on the path
// is still live: that is the mandate's question, asked of every link.
//
// A hop that is not there is fault.NotFound. A broken path is fault.Internal:
// nobody's input makes one.
func (m Missions) Chain(hop principal.UID) (Chain, error) {
	h, ok := m.hops.Get(hop)
	if !ok {
		return Chain{}, fault.New(fault.NotFound, "there is no hop %s", hop)
	}
	mission, ok := m.missions.Get(h.Mission)
	if !ok {
		return Chain{}, broken(h, "its mission is not there")
	}
	if h.Depth < 1 || h.Depth > authority.MaxDepth {
		return Chain{}, broken(h, "its depth is impossible")
	}
	c := Chain{Mission: mission, Hops: make([]Hop, h.Depth)}
	c.Hops[h.Depth-1] = h
	for h.Depth > 1 {
		parent, ok := m.hops.Get(h.Parent)
		switch {
		case !ok:
			return Chain{}, broken(h, "its parent is not there")
		case parent.Mission != h.Mission:
			return Chain{}, broken(h, "its parent is of another mission")
		case parent.Depth != h.Depth-1:
			return Chain{}, broken(h, "it is not one deeper than its parent")
		case parent.Delegate != h.Delegator:
			return Chain{}, broken(h, "its delegator is not its parent's delegate")
		}
		h, c.Hops[parent.Depth-1] = parent, parent
	}
	switch {
	case h.Parent != "" || h.ID != mission.Root:
		return Chain{}, broken(h, "it is not the root of its mission")
	case h.Delegator != mission.Origin:
		return Chain{}, broken(h, "the mission's origin did not delegate it")
	}
	return c, nil
}

func broken(h Hop, why string) error {
	return fault.New(fault.Internal, "the chain is broken at hop %s (depth %d): %s", h.ID, h.Depth, why)
}

// Head returns the uid of the head that link i's limits are counted at, 1 ≤ i ≤
// len(Hops): the mission's for the root, the hop's own below.
func (c Chain) Head(i int) principal.UID {
	if i == 1 {
		return c.Mission.ID
	}
	return c.Hops[i-1].ID
}

// Limits returns what binds the acting hop: its own limits, and for each kind
// that it has none of, those of the nearest hop above that has.
func (c Chain) Limits() Limits {
	var l Limits
	for _, h := range c.Hops {
		l = h.Limits.Inherit(l)
	}
	return l
}

// MaxDepth returns the depth that hops of c may reach: its nearest maxDepth, or
// proof.DefaultMaxDepth.
func MaxDepth(c Chain) int {
	if d := c.Limits().MaxDepth; d != nil {
		return *d
	}
	return proof.DefaultMaxDepth
}

// A LimitedHead is a head that a call of a chain is asked and charged at.
type LimitedHead struct {
	Head principal.UID // mission uid for the root, hop uid below
	Link int           // the hop's link; the binding one when a limit of it breaks
	// Limits has only the kinds that are asked here.
	Limits Limits
}

// Limited returns the heads that a call of the acting hop is asked and charged
// at, from the root down. Calls, cost, rows, depth and children are asked at the
// nearest head at or above the acting hop: what a nearer one has was moved out
// of those above when it was made. A rate is asked at every head that has one,
// because a window cannot be divided, and a child with a slower rate of its own
// must not add it to its parent's.
func Limited(c Chain) []LimitedHead {
	var out []LimitedHead
	var nearer Limits
	for i := len(c.Hops); i > 0; i-- {
		own := c.Hops[i-1].Limits
		asked := Limits{
			Calls:       unless(nearer.Calls, own.Calls),
			Cost:        unless(nearer.Cost, own.Cost),
			Rows:        unless(nearer.Rows, own.Rows),
			Rate:        own.Rate,
			MaxDepth:    unless(nearer.MaxDepth, own.MaxDepth),
			MaxChildren: unless(nearer.MaxChildren, own.MaxChildren),
		}
		if asked != (Limits{}) {
			out = append(out, LimitedHead{Head: c.Head(i), Link: i, Limits: asked})
		}
		nearer = nearer.Inherit(own)
	}
	slices.Reverse(out)
	return out
}

func unless[T any](nearer, own *T) *T {
	if nearer != nil {
		return nil
	}
	return own
}

// Escrow returns what a child of the acting hop with limits l takes out of the
// heads above it when it is made, and returns the unused part of when it ends:
// for every counted kind that it has of its own (calls, cost, rows), the nearest
// head of that kind pays. Where nothing above is limited nothing is moved.
func (c Chain) Escrow(l Limits) []LimitedHead {
	var out []LimitedHead
	for _, h := range Limited(c) {
		h.Limits = Limits{Calls: both(h.Limits.Calls, l.Calls), Cost: both(h.Limits.Cost, l.Cost), Rows: both(h.Limits.Rows, l.Rows)}
		if h.Limits != (Limits{}) {
			out = append(out, h)
		}
	}
	return out
}

func both[T any](above, own *T) *T {
	if above == nil {
		return nil
	}
	return own
}
