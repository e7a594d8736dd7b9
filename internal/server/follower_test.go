package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
)

// a log of revisions that can lose one, or stop answering.
type fakeFeed struct {
	mu    sync.Mutex
	rows  map[string]ledger.Row
	revs  []store.Revision
	skip  int64 // revision that Changes leaves out
	down  error
	loads int
	next  chan struct{}
}

func newFeed() *fakeFeed {
	return &fakeFeed{rows: map[string]ledger.Row{}, next: make(chan struct{})}
}

func (f *fakeFeed) write(id principal.UID, handle string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, _ := json.Marshal(directory.User{ID: id, Handle: handle, State: directory.Active})
	r := ledger.Row{Kind: "user", Key: string(id), Handle: handle, Body: b}
	f.rows[string(id)] = r
	n := int64(len(f.revs) + 1)
	f.revs = append(f.revs, store.Revision{N: n, Rows: []ledger.Row{r}})
	close(f.next)
	f.next = make(chan struct{})
	return n
}

func (f *fakeFeed) Load(context.Context, principal.UID) (int64, []ledger.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads++
	var rows []ledger.Row
	for _, r := range f.rows {
		rows = append(rows, r)
	}
	return int64(len(f.revs)), rows, f.down
}

func (f *fakeFeed) Changes(_ context.Context, _ principal.UID, after int64, limit int) (out []store.Revision, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.revs {
		if r.N > after && r.N != f.skip && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, f.down
}

func (f *fakeFeed) Notify() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}

func (f *fakeFeed) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func uid(n byte) principal.UID {
	return principal.Make(principal.User, time.Unix(0, 0), [10]byte{9: n})
}

func following(t *testing.T, f *fakeFeed) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := follow(ctx, f, principal.Make(principal.Tenant, time.Unix(0, 0), [10]byte{}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// TestReadYourWrites: a revision that was committed is waited for, not guessed.
func TestReadYourWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		w := following(t, f)
		for i := range byte(20) {
			n := f.write(uid(i), "u"+string('a'+rune(i)))
			s, err := w.AtLeast(t.Context(), n)
			if err != nil || s.Revision < n {
				t.Fatalf("revision %d: %v", n, err)
			}
			if _, ok := s.Directory.User(uid(i)); !ok {
				t.Fatalf("revision %d is here without its row", n)
			}
		}
		if _, err := w.AtLeast(t.Context(), 1000); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("a revision that never comes: %v", err)
		}
	})
}

// TestGapLoadsAnew: a revision that is missing from the tail is never skipped.
func TestGapLoadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		w := following(t, f)
		f.set(func() { f.skip = 1 })
		f.write(uid(1), "lost")
		n := f.write(uid(2), "seen")
		s, err := w.AtLeast(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Directory.User(uid(1)); !ok || f.loads < 2 {
			t.Fatalf("the lost revision stayed lost after %d loads", f.loads)
		}
	})
}

// TestStaleIsUnavailable: without its store a replica answers until the lease
// ends, and then nothing.
func TestStaleIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		w := following(t, f)
		f.set(func() { f.down = errors.New("no store") })
		time.Sleep(maxStaleness / 2)
		if _, err := w.Current(); err != nil {
			t.Fatalf("within the lease: %v", err)
		}
		time.Sleep(maxStaleness)
		if _, err := w.Current(); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("past the lease: %v", err)
		}
		f.set(func() { f.down = nil })
		time.Sleep(2 * pollEvery)
		if _, err := w.Current(); err != nil {
			t.Fatalf("the store is back: %v", err)
		}
	})
}
