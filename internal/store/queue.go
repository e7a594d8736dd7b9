package store

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
)

const (
	maxBatch   = 256                    // commits in one SQL transaction
	maxQueued  = 4096                   // waiting callers
	maxLazy    = 8192                   // acknowledged entries that are not yet durable
	flushAfter = 100 * time.Millisecond // of the 250 ms that a lazy commit may take
)

// A request is one commit, or one job, on its way through the writer.
type request struct {
	commit  ledger.Commit
	digest  string // of commit.Rows
	receipt ledger.Receipt

	// job, when set, is run in a transaction of its own in place of a commit;
	// after runs once that transaction is durable.
	job   func(context.Context, *sql.Conn) error
	after func()

	err    error
	queued time.Time     // when a lazy commit was acknowledged
	done   chan struct{} // has room for one; nil when lazy
}

func (r *request) lazy() bool { return r.done == nil }

func (r *request) answer(err error) {
	r.err = err
	if r.done != nil {
		r.done <- struct{}{}
	}
}

// A queue is the bounded line in front of the writer: first come, first
// written, durable and lazy alike, so that what one caller does in order takes
// effect in order.
type queue struct {
	mu     sync.Mutex
	items  []*request
	lazy   int
	closed bool
	wake   chan struct{} // has room for one
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push adds r, or fails with fault.Unavailable when the line is full or closed.
func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed()
	case r.lazy() && q.lazy >= maxLazy:
		return fault.New(fault.Unavailable, "the ledger has %d entries waiting for the disk, its bound", q.lazy).
			WithHint("retry shortly; if it persists, the disk is too slow for this load")
	case !r.lazy() && len(q.items)-q.lazy >= maxQueued:
		return fault.New(fault.Unavailable, "the store has %d commits waiting for the disk, its bound", maxQueued).
			WithHint("retry shortly; if it persists, the disk is too slow for this load")
	}
	if r.lazy() {
		q.lazy++
	}
	q.items = append(q.items, r)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// withdraw takes r out of the line and reports whether it was still there.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, x := range q.items {
		if x == r {
			q.items = append(q.items[:i], q.items[i+1:]...)
			return true
		}
	}
	return false
}

// close lets no more in. What is in the line stays for next.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for work and appends it to buf: a run of at most maxBatch commits,
// or one job. It returns nothing when the queue is closed and empty. It delays
// only what is lazy.
func (q *queue) next(buf []*request) []*request {
	for {
		q.mu.Lock()
		n, wait := q.ready()
		if n > 0 || q.closed {
			buf = append(buf, q.items[:n]...)
			rest := copy(q.items, q.items[n:])
			clear(q.items[rest:])
			q.items = q.items[:rest]
			for _, r := range buf {
				if r.lazy() {
					q.lazy--
				}
			}
			q.mu.Unlock()
			return buf
		}
		q.mu.Unlock()
		if wait == 0 {
			<-q.wake
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ready returns how many requests to take now, or how long the lazy ones, if
// there are any, can wait.
func (q *queue) ready() (n int, wait time.Duration) {
	if len(q.items) == 0 {
		return 0, 0
	}
	if q.lazy == len(q.items) && q.lazy < maxBatch && !q.closed {
		if wait = flushAfter - time.Since(q.items[0].queued); wait > 0 {
			return 0, wait
		}
	}
	for n < len(q.items) && n < maxBatch {
		if q.items[n].job != nil {
			return max(n, 1), 0
		}
		n++
	}
	return n, 0
}
