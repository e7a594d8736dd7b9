package enforce

import (
	"slices"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// makeHop plans the rows and charges of a child hop, and of its agent when that
// is new.
func (s *Spine) makeHop(n *issuing, chain delegation.Chain, st proof.Statement, child client) error {
	dir := n.snap.Directory
	b, ok := dir.Blueprint(principal.UID(st.Blueprint))
	if !ok || b.State != directory.Active {
		return credential.Refuse(credential.ErrInvalidGrant, "the delegation names no active blueprint")
	}
	hop, err := delegation.Child(chain, delegation.ChildProposal{Statement: st, Compact: n.x.Delegation, Blueprint: b.ID,
		Ceiling: b.Ceiling, Children: n.snap.Missions.LiveChildren(chain.Acting().ID, n.at), Hops: n.snap.Missions.Hops(chain.Mission.ID)}, n.at)
	if err != nil {
		return err
	}
	if _, taken := n.snap.Missions.Hop(hop.ID); taken {
		return credential.Refuse(credential.ErrInvalidGrant, "hop %s was made before", hop.ID)
	}
	agent, known := dir.Agent(child.id)
	switch {
	case known && (agent.Blueprint != b.ID || !child.enrolled):
		return credential.Refuse(credential.ErrInvalidGrant, "the delegate is known, by another blueprint or another key")
	case !known:
		if err := dir.Owned(b.Owner, "a sub-agent"); err != nil {
			return err
		}
		agent = directory.Agent{ID: child.id, Blueprint: b.ID, Owner: b.Owner, Parent: chain.Acting().Delegate,
			Expiry: hop.Expiry, State: directory.Active,
			Keys: []directory.Key{{JKT: child.jkt, JWK: child.jwk, Enrolled: n.at, Evidence: "signed into hop " + string(hop.ID), By: chain.Acting().Delegate}}}
		n.rows = append(n.rows, row("agent", agent.ID, "", agent))
		n.once = append(n.once, made(agent.ID, n.at))
	}
	n.once = append(n.once, made(hop.ID, n.at))
	n.rows = append(n.rows, row("hop", hop.ID, "", hop))
	n.charges = s.hopCharges(n, chain, hop)
	n.kind, n.made, n.key = "child", &hop, child.jwk
	n.chain = delegation.Chain{Mission: chain.Mission, Hops: append(append([]delegation.Hop(nil), chain.Hops...), hop)}
	return nil
}

// made is the once-key of a uid that somebody else than the server chose. That it
// is free was read from a snapshot, which another making may be ahead of: of two
// at once the second must not replace what the first made. Later the snapshot
// knows; ten minutes are far beyond any replica's lag.
func made(id principal.UID, at time.Time) ledger.Once {
	return ledger.Once{Key: "made " + string(id), Expiry: at.Add(10 * time.Minute)}
}

// hopCharges takes what a new hop needs from the heads above it: a place among
// its parent's live children, and the counts that move into its own head.
func (s *Spine) hopCharges(n *issuing, chain delegation.Chain, hop delegation.Hop) []ledger.Charge {
	parent := chain.Acting()
	place := ledger.Charge{Head: chain.Head(len(chain.Hops)), Limit: ledger.Unlimited(), Children: 1}
	if m := chain.Limits().MaxChildren; m != nil {
		// The head counts children that were ever made, so that two made at once
		// cannot both be the last; those that are no longer live widen the bound.
		made, live := len(n.snap.Missions.Children(parent.ID)), n.snap.Missions.LiveChildren(parent.ID, n.at)
		place.Limit.Children = int64(*m + made - live)
	}
	out := []ledger.Charge{place}
	bounds := map[principal.UID]delegation.Limits{}
	for _, h := range delegation.Limited(chain) {
		bounds[h.Head] = h.Limits
	}
	for _, h := range chain.Escrow(hop.Limits) {
		c, bound := ledger.Charge{Head: h.Head, Limit: ledger.Unlimited()}, bounds[h.Head]
		if h.Limits.Calls != nil {
			c.Calls, c.Limit.Calls = *h.Limits.Calls, *bound.Calls
		}
		if h.Limits.Cost != nil {
			c.Cost, c.Limit.Cost = *h.Limits.Cost, *bound.Cost
		}
		if h.Limits.Rows != nil {
			c.Rows, c.Limit.Rows = *h.Limits.Rows, *bound.Rows
		}
		out = append(out, c)
	}
	return merged(out)
}

// merged puts charges of one head together: a commit charges each head once.
func merged(in []ledger.Charge) (out []ledger.Charge) {
	for _, c := range in {
		i := slices.IndexFunc(out, func(o ledger.Charge) bool { return o.Head == c.Head })
		if i < 0 {
			out = append(out, c)
			continue
		}
		o := &out[i]
		o.Calls, o.Cost, o.Rows, o.Children = o.Calls+c.Calls, o.Cost+c.Cost, o.Rows+c.Rows, o.Children+c.Children
		o.Limit.Calls, o.Limit.Cost, o.Limit.Rows = tighter(o.Limit.Calls, c.Limit.Calls), tighter(o.Limit.Cost, c.Limit.Cost), tighter(o.Limit.Rows, c.Limit.Rows)
		o.Limit.Children = tighter(o.Limit.Children, c.Limit.Children)
	}
	return out
}

// tighter returns the smaller of two bounds, where negative means none.
func tighter(a, b int64) int64 {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}
