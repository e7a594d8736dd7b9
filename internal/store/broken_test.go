package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
	"github.com/ambit-iam/ambit/internal/store/storetest"
)

// A breakage is a store with one promise broken, and the case that must notice.
type breakage struct {
	noticed string
	commit  func(*ledger.Commit)
	wrap    func(storetest.Store) storetest.Store
}

func breakages() map[string]breakage {
	return map[string]breakage{
		"forgets conditions":     {noticed: "conditions", commit: func(c *ledger.Commit) { c.Conditions = nil }},
		"checks one condition":   {noticed: "conditions", commit: func(c *ledger.Commit) { c.Conditions = c.Conditions[:min(1, len(c.Conditions))] }},
		"forgets bumps":          {noticed: "revocation", commit: forgetBumps},
		"bumps without revision": {noticed: "bumps", commit: forgetBumps},
		"forgets charges":        {noticed: "charges", commit: func(c *ledger.Commit) { c.Charges = nil }},
		"forgets limits":         {noticed: "limits", commit: eachCharge(func(ch *ledger.Charge) { ch.Limit = ledger.Unlimited() })},
		"counts loosely":         {noticed: "parallel", commit: eachCharge(func(ch *ledger.Charge) { ch.Limit.Calls += 3 })},
		"widens the window":      {noticed: "rate", commit: eachCharge(func(ch *ledger.Charge) { ch.Limit.RatePer /= 2 })},
		"forgets handles":        {noticed: "handles", commit: eachRow(func(r *ledger.Row) { r.Handle = "" })},
		"forgets once":           {noticed: "once", commit: func(c *ledger.Commit) { c.Once = nil }},
		"ignores the plan":       {noticed: "planned", commit: func(c *ledger.Commit) { c.At = -1 }},
		"drops deletions":        {noticed: "replay", commit: dropDeletions},
		"lets go of lazy":        {noticed: "lazy", wrap: func(s storetest.Store) storetest.Store { return losesLazy{s} }},
		"charges before failing": {noticed: "atomic", wrap: func(s storetest.Store) storetest.Store { return chargesFirst{s} }},
		"skips a revision":       {noticed: "contiguous", wrap: func(s storetest.Store) storetest.Store { return skipsRevision{s} }},
		"keeps quiet":            {noticed: "notify", wrap: func(s storetest.Store) storetest.Store { return neverNotifies{s} }},
		"mixes tenants":          {noticed: "tenants", wrap: func(s storetest.Store) storetest.Store { return oneTenant{s, new(principal.UID)} }},
		"sequences anything":     {noticed: "sequence", wrap: func(s storetest.Store) storetest.Store { return sequencesNothing{s} }},
		"ignores the filter":     {noticed: "entries", wrap: func(s storetest.Store) storetest.Store { return ignoresFilter{s} }},
		"forgets checkpoints":    {noticed: "checkpoints", wrap: func(s storetest.Store) storetest.Store { return forgetsCheckpoints{s} }},
		"acknowledges and drops": {noticed: "left", wrap: func(s storetest.Store) storetest.Store { return dropsSome{s} }},
	}
}

// TestBroken demands of the suite that it notices each of them.
func TestBroken(t *testing.T) {
	for name, b := range breakages() {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			noticed := storetest.Notices(t, func(dir string) (storetest.Store, error) {
				s, err := open(dir)
				switch {
				case err != nil:
					return nil, err
				case b.wrap != nil:
					return b.wrap(s), nil
				}
				return breaksCommits{s, b.commit}, nil
			}, b.noticed)
			if !noticed {
				t.Errorf("the case %s does not notice a store that %s", b.noticed, name)
			}
		})
	}
}

func forgetBumps(c *ledger.Commit) { c.Bump = nil }

func eachCharge(set func(*ledger.Charge)) func(*ledger.Commit) {
	return func(c *ledger.Commit) {
		for i := range c.Charges {
			set(&c.Charges[i])
		}
	}
}

func eachRow(set func(*ledger.Row)) func(*ledger.Commit) {
	return func(c *ledger.Commit) {
		for i := range c.Rows {
			set(&c.Rows[i])
		}
	}
}

func dropDeletions(c *ledger.Commit) {
	var kept []ledger.Row
	for _, r := range c.Rows {
		if r.Body != nil {
			kept = append(kept, r)
		}
	}
	c.Rows = kept
}

type breaksCommits struct {
	storetest.Store
	change func(*ledger.Commit)
}

func (s breaksCommits) Commit(ctx context.Context, c ledger.Commit) (ledger.Receipt, error) {
	s.change(&c)
	return s.Store.Commit(ctx, c)
}

type losesLazy struct{ storetest.Store }

func (s losesLazy) Commit(ctx context.Context, c ledger.Commit) (ledger.Receipt, error) {
	if c.Lazy {
		return ledger.Receipt{}, nil
	}
	return s.Store.Commit(ctx, c)
}

type chargesFirst struct{ storetest.Store }

func (s chargesFirst) Commit(ctx context.Context, c ledger.Commit) (ledger.Receipt, error) {
	r, err := s.Store.Commit(ctx, c)
	if err != nil && len(c.Charges) > 0 {
		again := c
		again.Conditions, again.Rows, again.Bump, again.Once, again.Charges = nil, nil, nil, nil, c.Charges[:1]
		again.Entry.ID = minter().New(principal.Entry)
		_, _ = s.Store.Commit(ctx, again) // broken on purpose
	}
	return r, err
}

type skipsRevision struct{ storetest.Store }

func (s skipsRevision) Changes(ctx context.Context, tenant principal.UID, after int64, limit int) ([]store.Revision, error) {
	revs, err := s.Store.Changes(ctx, tenant, after, limit)
	return slices.DeleteFunc(revs, func(r store.Revision) bool { return r.N == 3 }), err
}

type neverNotifies struct{ storetest.Store }

func (s neverNotifies) Notify() <-chan struct{} { return make(chan struct{}) }

type oneTenant struct {
	storetest.Store
	only *principal.UID
}

func (s oneTenant) Init(ctx context.Context, tenant principal.UID, issuer string) error {
	if *s.only == "" {
		*s.only = tenant
		return s.Store.Init(ctx, tenant, issuer)
	}
	return nil
}

func (s oneTenant) Commit(ctx context.Context, c ledger.Commit) (ledger.Receipt, error) {
	c.Tenant = *s.only
	return s.Store.Commit(ctx, c)
}

type sequencesNothing struct{ storetest.Store }

func (s sequencesNothing) Sequence(context.Context, principal.UID, int64, []ledger.Assigned, []ledger.Tile) error {
	return nil
}

type ignoresFilter struct{ storetest.Store }

func (s ignoresFilter) Entries(ctx context.Context, tenant principal.UID, _ ledger.Filter) ([]ledger.Stored, error) {
	return s.Store.Entries(ctx, tenant, ledger.Filter{})
}

type forgetsCheckpoints struct{ storetest.Store }

func (s forgetsCheckpoints) SaveCheckpoint(context.Context, principal.UID, ledger.Checkpoint) error {
	return nil
}

type dropsSome struct{ storetest.Store }

func (s dropsSome) Commit(ctx context.Context, c ledger.Commit) (ledger.Receipt, error) {
	if c.Entry.ID[len(c.Entry.ID)-1] < '8' {
		return ledger.Receipt{}, nil
	}
	return s.Store.Commit(ctx, c)
}
