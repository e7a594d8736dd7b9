package main

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
)

// A recorder makes the record of one call and nothing else: what a durable
// decision costs on this disk, in this run, whatever surrounds it.
type recorder struct {
	store  *store.Store
	mint   principal.Minter
	tenant principal.UID
}

func record(dir string) (*recorder, error) {
	r := &recorder{mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}}
	var err error
	// Open fails on settings that lose durability: it asserts journal_mode=WAL
	// and synchronous=FULL.
	if r.store, err = store.Open(context.Background(), store.Options{Dir: dir}); err != nil {
		return nil, err
	}
	r.tenant = r.mint.New(principal.Tenant)
	return r, r.store.Init(context.Background(), r.tenant, "https://bench.test")
}

// measure commits decision entries one after another, as the gateway does: under
// conditions, with a charge, each durable before the next; the outcome entry of one goes with the next.
func (r *recorder) measure(calls int) ([]time.Duration, error) {
	mission, hash := r.mint.New(principal.Mission), strings.Repeat("h", 43)
	entry := func(kind ledger.Kind, payload int) ledger.Entry {
		return ledger.Entry{ID: r.mint.New(principal.Entry), Time: time.Now(), Kind: kind, Class: ledger.Standard, Action: "read", Bound: "bearer",
			Actor: r.mint.New(principal.Agent), Origin: r.mint.New(principal.User), Mission: mission, Hop: r.mint.New(principal.Hop),
			Run: r.mint.New(principal.Run), Server: r.mint.New(principal.Server), Delegation: hash, Pins: hash, Decision: "allow",
			Payload: []byte(`{"x":"` + strings.Repeat("x", payload) + `"}`)}
	}
	conditions := []ledger.Condition{{Head: mission}, {Head: r.tenant}}
	limit := ledger.Unlimited()
	limit.Calls = 1 << 40
	out := make([]time.Duration, 0, calls)
	for range calls {
		start := time.Now()
		if _, err := r.store.Commit(context.Background(), ledger.Commit{Tenant: r.tenant, At: -1,
			Conditions: conditions, Charges: []ledger.Charge{{Head: mission, Limit: limit, Calls: 1}}, Entry: entry(ledger.Decision, 1300)}); err != nil {
			return nil, err
		}
		out = append(out, time.Since(start))
		if _, err := r.store.Commit(context.Background(), ledger.Commit{Tenant: r.tenant, At: -1,
			Entry: entry(ledger.Outcome, 100), Lazy: true}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
