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
	store           *store.Store
	mint            principal.Minter
	tenant, mission principal.UID
}

func record(dir string) (*recorder, error) {
	r := &recorder{mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}}
	var err error
	// Open fails on settings that lose durability: it asserts journal_mode=WAL
	// and synchronous=FULL.
	if r.store, err = store.Open(context.Background(), store.Options{Dir: dir}); err != nil {
		return nil, err
	}
	r.tenant, r.mission = r.mint.New(principal.Tenant), r.mint.New(principal.Mission)
	return r, r.store.Init(context.Background(), r.tenant, "https://bench.test")
}

// once commits a decision entry as the gateway does, under conditions and with a
// charge, and returns how long it took to be durable; its outcome entry goes with
// the next.
func (r *recorder) once() (time.Duration, error) {
	limit := ledger.Unlimited()
	limit.Calls = 1 << 40
	start := time.Now()
	_, err := r.store.Commit(context.Background(), ledger.Commit{Tenant: r.tenant, At: -1,
		Conditions: []ledger.Condition{{Head: r.mission}, {Head: r.tenant}},
		Charges:    []ledger.Charge{{Head: r.mission, Limit: limit, Calls: 1}}, Entry: r.entry(ledger.Decision, 1300)})
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	_, err = r.store.Commit(context.Background(), ledger.Commit{Tenant: r.tenant, At: -1, Entry: r.entry(ledger.Outcome, 100), Lazy: true})
	return took, err
}

// entry is as long as the gateway's.
func (r *recorder) entry(kind ledger.Kind, payload int) ledger.Entry {
	hash := strings.Repeat("h", 43)
	return ledger.Entry{ID: r.mint.New(principal.Entry), Time: time.Now(), Kind: kind, Class: ledger.Standard, Action: "read", Bound: "bearer",
		Actor: r.mint.New(principal.Agent), Origin: r.mint.New(principal.User), Mission: r.mission, Hop: r.mint.New(principal.Hop),
		Run: r.mint.New(principal.Run), Server: r.mint.New(principal.Server), Delegation: hash, Pins: hash, Decision: "allow",
		Payload: []byte(`{"x":"` + strings.Repeat("x", payload) + `"}`)}
}
