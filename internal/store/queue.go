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
	maxWaiting = 64 << 20               // bytes of their payloads: callers choose how long those are
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
	bytes  int // of the payloads of those
	closed bool
	wake   chan struct{} // has room for one
	// tick has the writer look for lazy commits that are due: they wake nobody by
	// themselves, since each outcome would cost its caller's next commit a switch.
	tick *time.Ticker
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), tick: time.NewTicker(flushAfter)}
}

// push adds r, or fails with fault.Unavailable when the line is full or closed.
func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errClosed()
	case r.lazy() && (q.lazy >= maxLazy || q.lazy > 0 && q.bytes+len(r.commit.Entry.Payload) > maxWaiting):
		return fault.New(fault.Unavailable, "the ledger has %d entries waiting for the disk, %d bytes, its bound", q.lazy, q.bytes).
			WithHint("retry shortly; if it persists, the disk is too slow for this load")
	case !r.lazy() && len(q.items)-q.lazy >= maxQueued:
		return fault.New(fault.Unavailable, "the store has %d commits waiting for the disk, its bound", maxQueued).
			WithHint("retry shortly; if it persists, the disk is too slow for this load")
	}
	if r.lazy() {
		q.lazy++
		q.bytes += len(r.commit.Entry.Payload)
	}
	q.items = append(q.items, r)
	if q.waits() {
		return nil
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// waits reports whether all that is in the line is lazy and fits one batch: it
// goes with the next durable commit, or when it is due.
func (q *queue) waits() bool {
	return q.lazy == len(q.items) && q.lazy < maxBatch && !q.closed
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
	q.tick.Stop()
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
		n := q.ready()
		if n > 0 || q.closed {
			buf = append(buf, q.items[:n]...)
			rest := copy(q.items, q.items[n:])
			clear(q.items[rest:])
			q.items = q.items[:rest]
			for _, r := range buf {
				if r.lazy() {
					q.lazy--
					q.bytes -= len(r.commit.Entry.Payload)
				}
			}
			q.mu.Unlock()
			return buf
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-q.tick.C:
		}
	}
}

// ready returns how many requests to take now. A lazy commit waits for flushAfter,
// and for the tick behind that.
func (q *queue) ready() (n int) {
	if len(q.items) > 0 && q.waits() && time.Since(q.items[0].queued) < flushAfter {
		return 0
	}
	for n < len(q.items) && n < maxBatch {
		if q.items[n].job != nil {
			return max(n, 1)
		}
		n++
	}
	return n
}
