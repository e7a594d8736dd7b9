package storetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	syncatomic "sync/atomic"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
)

// A Store is what the suite tests.
type Store interface {
	ledger.Store
	ledger.Log
	Feed
}

// A Feed is what snapshots are made from.
type Feed interface {
	Init(ctx context.Context, tenant principal.UID, issuer string) error
	Meta(ctx context.Context) (store.Meta, error)
	Revision(ctx context.Context, tenant principal.UID) (int64, error)
	Load(ctx context.Context, tenant principal.UID) (int64, []ledger.Row, error)
	Changes(ctx context.Context, tenant principal.UID, after int64, limit int) ([]store.Revision, error)
	Notify() <-chan struct{}
	Close() error
}

// Open opens the store kept in dir, an empty directory or one that a store which
// was closed has used. The suite closes what it opens.
type Open func(dir string) (Store, error)

// Run runs every case as a subtest of t, each on a store of its own.
func Run(t *testing.T, open Open) {
	for name, test := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open, test)
		})
	}
}

// Notices reports whether the case of that name fails for the stores that open
// opens: what a suite owes to a store that is broken. A case that hangs notices.
func Notices(t *testing.T, open Open, name string) bool {
	test := cases()[name]
	if test == nil {
		t.Fatalf("the suite has no case %q", name)
	}
	r := &recorder{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(r, open, test)
	}()
	select {
	case <-done:
		return r.failed.Load()
	case <-time.After(5 * time.Second):
		return true
	}
}

func cases() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"conditions": conditions, "revocation": revocation, "bumps": bumps, "charges": charges, "limits": limits,
		"parallel": parallel, "rate": rate, "atomic": atomic, "once": once, "lazy": lazy, "misuse": misuse, "left": left, "closed": closed,
		"handles": handles, "planned": planned, "contiguous": contiguous, "replay": replay, "notify": notify, "tenants": tenants,
		"duplicate": duplicate, "reopen": reopen, "chain": chain, "sequence": sequence, "entries": entries, "tiles": tiles, "checkpoints": checkpoints,
	}
}

func run(t T, open Open, test func(*fixture)) {
	f := &fixture{T: t, dir: t.TempDir(), open: open, mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}}
	s, err := open(f.dir)
	f.ok(err)
	f.Store = s
	defer func() {
		if err := f.Close(); err != nil {
			f.Errorf("close: %v", err)
		}
	}()
	f.tenant = f.mint.New(principal.Tenant)
	f.ok(f.Init(f.Context(), f.tenant, "https://ambit.example"))
	test(f)
}

// T is what a case needs of a testing.T.
type T interface {
	Helper()
	Context() context.Context
	TempDir() string
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// A recorder is a T that remembers failing instead of failing the test.
type recorder struct {
	*testing.T
	failed syncatomic.Bool
}

func (r *recorder) Error(...any)          { r.failed.Store(true) }
func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }
func (r *recorder) Fatal(...any)          { r.failed.Store(true); runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.failed.Store(true); runtime.Goexit() }

// A fixture is a store with one tenant, and what the cases say often.
type fixture struct {
	T
	Store
	dir    string
	open   Open
	mint   principal.Minter
	tenant principal.UID
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// kind fails the test unless err is a fault of kind k.
func (f *fixture) kind(err error, k fault.Kind) {
	f.Helper()
	if err == nil || fault.KindOf(err) != k {
		f.Fatalf("got error %v, want one of kind %v", err, k)
	}
}

// wraps fails the test unless err wraps target and is a Conflict.
func (f *fixture) wraps(err, target error) {
	f.Helper()
	f.kind(err, fault.Conflict)
	if !errors.Is(err, target) {
		f.Fatalf("got %v, want an error that wraps %q", err, target)
	}
}

// commit returns a commit of one entry and nothing else.
func (f *fixture) commit() ledger.Commit {
	c := ledger.Commit{Tenant: f.tenant, At: -1, Entry: ledger.Entry{
		ID: f.mint.New(principal.Entry), Time: time.Now(), Kind: ledger.Decision, Action: "read",
		Payload: json.RawMessage(`{"resource":"patient:P1"}`)}}
	_, _ = rand.Read(c.Entry.Salt[:])
	return c
}

func (f *fixture) conditioned(head principal.UID, epoch int64) ledger.Commit {
	c := f.commit()
	c.Conditions = []ledger.Condition{{Head: head, Epoch: epoch}}
	return c
}

func (f *fixture) charging(ch ledger.Charge) ledger.Commit {
	c := f.commit()
	c.Charges = []ledger.Charge{ch}
	return c
}

func (f *fixture) changing(rows ...ledger.Row) ledger.Commit {
	c := f.commit()
	c.Entry.Kind, c.Rows = ledger.Change, rows
	return c
}

// must commits c and returns its receipt.
func (f *fixture) must(c ledger.Commit) ledger.Receipt {
	f.Helper()
	r, err := f.Commit(f.Context(), c)
	f.ok(err)
	return r
}

// refused commits c and returns why it was not taken, after checking that no
// entry came of it.
func (f *fixture) refused(c ledger.Commit) error {
	f.Helper()
	_, err := f.Commit(f.Context(), c)
	if err == nil {
		f.Fatal("the commit was taken")
	}
	es, readErr := f.Entries(f.Context(), c.Tenant, ledger.Filter{Entry: c.Entry.ID})
	f.ok(readErr)
	if len(es) != 0 {
		f.Fatalf("the commit was refused (%v), and its entry is in the ledger", err)
	}
	return err
}

func (f *fixture) head(id principal.UID) ledger.Head {
	f.Helper()
	hs, err := f.Heads(f.Context(), f.tenant, id)
	f.ok(err)
	return hs[id]
}

func (f *fixture) revision() int64 {
	f.Helper()
	n, err := f.Revision(f.Context(), f.tenant)
	f.ok(err)
	return n
}

// restart closes the store and opens it again.
func (f *fixture) restart() {
	f.Helper()
	f.ok(f.Close())
	s, err := f.open(f.dir)
	f.ok(err)
	f.Store = s
}

// all returns every entry of the tenant.
func (f *fixture) all() []ledger.Stored {
	f.Helper()
	es, err := f.Entries(f.Context(), f.tenant, ledger.Filter{})
	f.ok(err)
	return es
}

// user returns a row of the noun user.
func user(key, handle string) ledger.Row {
	return ledger.Row{Kind: "user", Key: key, Handle: handle, Body: fmt.Appendf(nil, `{"id":%q,"handle":%q}`, key, handle)}
}

func free() ledger.Limit { return ledger.Unlimited() }
