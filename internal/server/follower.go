package server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
)

const (
	// pollEvery is how often the revision log is read when nothing calls for it
	// sooner. Commits of this process wake the follower at once.
	pollEvery = 50 * time.Millisecond
	// maxStaleness is how old the last successful poll may be for a snapshot to
	// be decided on. Past it every decision is unavailable: never a stale allow.
	maxStaleness = 2 * time.Second
	// catchUp bounds how long AtLeast waits.
	catchUp = time.Second
	// tail is how many revisions one poll reads at most.
	tail = 1000
)

// A feed is what the follower needs of the floor.
type feed interface {
	// Load returns every row of a tenant at one revision.
	Load(ctx context.Context, tenant principal.UID) (int64, []ledger.Row, error)
	// Changes returns the revisions after one, in order.
	Changes(ctx context.Context, tenant principal.UID, after int64, limit int) ([]store.Revision, error)
	// Notify is closed at the next revision of this process.
	Notify() <-chan struct{}
}

// A follower keeps the snapshot of one tenant up to date: loaded once, then the
// contiguous tail of the revision log. It implements enforce.State. Any gap or
// row that does not apply makes it load anew; a snapshot is never patched over.
type follower struct {
	feed   feed
	tenant principal.UID
	logger *slog.Logger

	snap  atomic.Pointer[decision.Snapshot]
	start time.Time
	// fresh is the moment, in nanoseconds of the monotonic clock since start, at
	// which the lease of the last successful poll ends.
	fresh atomic.Int64

	kick chan struct{}

	mu    sync.Mutex    // protects moved
	moved chan struct{} // closed and replaced at each new snapshot
}

// follow loads the tenant's snapshot and returns its follower; Run keeps it fresh.
func follow(ctx context.Context, f feed, tenant principal.UID, logger *slog.Logger) (*follower, error) {
	w := &follower{feed: f, tenant: tenant, logger: logger, start: time.Now(), kick: make(chan struct{}, 1), moved: make(chan struct{})}
	began := time.Now()
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	w.renew(began)
	return w, nil
}

// Current returns the newest snapshot, or fault.Unavailable when it is too old.
func (w *follower) Current() (*decision.Snapshot, error) {
	if time.Since(w.start) > time.Duration(w.fresh.Load()) {
		return nil, fault.New(fault.Unavailable, "this server has not reached its store for %s", maxStaleness).
			WithHint("retry; nothing is allowed until it does")
	}
	return w.snap.Load(), nil
}

// AtLeast waits for a snapshot of revision or later.
func (w *follower) AtLeast(ctx context.Context, revision int64) (*decision.Snapshot, error) {
	deadline := time.NewTimer(catchUp)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		moved := w.moved
		w.mu.Unlock()
		if s := w.snap.Load(); s.Revision >= revision {
			return w.Current()
		}
		w.wake()
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "gave up waiting for revision %d", revision)
		case <-deadline.C:
			return nil, fault.New(fault.Unavailable, "revision %d has not arrived here within %s", revision, catchUp).WithHint("retry")
		}
	}
}

func (w *follower) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run polls until ctx ends.
func (w *follower) Run(ctx context.Context) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		// Taken before the poll, so that no revision falls between the two.
		next := w.feed.Notify()
		began := time.Now()
		if err := w.poll(ctx); err != nil {
			if ctx.Err() == nil {
				w.logger.WarnContext(ctx, "snapshot not renewed", "revision", w.snap.Load().Revision, "error", err)
			}
			next = nil // the ticker paces what fails
		} else {
			w.renew(began)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-w.kick:
		case <-next:
		}
	}
}

// renew extends the lease from when the poll began: what it saw is as old as that.
func (w *follower) renew(began time.Time) {
	w.fresh.Store(int64(began.Sub(w.start) + maxStaleness))
}

func (w *follower) poll(ctx context.Context) error {
	for {
		s := w.snap.Load()
		revs, err := w.feed.Changes(ctx, w.tenant, s.Revision, tail)
		if err != nil || len(revs) == 0 {
			return err
		}
		for _, r := range revs {
			next, err := s.Apply(r.N, r.Rows)
			if err != nil || r.N != s.Revision+1 {
				w.logger.ErrorContext(ctx, "revision log does not apply; loading anew", "have", s.Revision, "next", r.N, "error", err)
				return w.load(ctx)
			}
			s = next
		}
		w.publish(s)
		if len(revs) < tail {
			return nil
		}
	}
}

func (w *follower) load(ctx context.Context) error {
	rev, rows, err := w.feed.Load(ctx, w.tenant)
	if err != nil {
		return err
	}
	s, err := decision.Empty(w.tenant)
	if err != nil {
		return err
	}
	if s, err = s.Apply(rev, rows); err != nil {
		return err
	}
	w.publish(s)
	return nil
}

func (w *follower) publish(s *decision.Snapshot) {
	w.snap.Store(s)
	w.mu.Lock()
	close(w.moved)
	w.moved = make(chan struct{})
	w.mu.Unlock()
}
