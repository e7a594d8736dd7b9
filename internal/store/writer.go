package store

import (
	"context"
	"database/sql"
	"runtime"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
)

// A writer is the one goroutine that changes the store and what it alone uses.
type writer struct {
	conn   *sql.Conn
	queue  *queue
	memory *memory
	now    func() time.Time
	name   string // in every entry: whose order n counts
	boot   int64
	nouns  map[string]*noun
	fail   func(error) // stops the store for good
	stop   chan struct{}

	sql   inserts
	stmts map[string]*sql.Stmt
	args  []any // scratch
	batch batch
	fold  folder
}

// run takes what is queued and writes it, until the queue is closed and empty.
// After a fault of the disk it goes on answering, but writes no more.
func (w *writer) run() {
	defer close(w.stop)
	ctx := context.Background() // a transaction is never abandoned half way
	var reqs []*request
	dead := error(nil)
	for {
		runtime.Gosched() // let the callers just answered queue up again: fuller batches
		reqs = w.queue.next(reqs[:0])
		if len(reqs) == 0 {
			break
		}
		if dead == nil {
			if dead = w.serve(ctx, reqs); dead != nil {
				w.fail(dead)
			}
		}
		for _, r := range reqs {
			if dead != nil {
				r.err = errBroken(dead)
			}
			r.answer(r.err)
		}
		clear(reqs)
		if dead == nil {
			if dead = w.fold.step(ctx, w); dead != nil {
				w.fail(dead)
			}
		}
	}
	if err := w.fold.finish(); err != nil {
		w.fail(err)
	}
}

// serve writes reqs and leaves each one's outcome in it. The error it returns is
// fatal: nobody knows what is on the disk.
func (w *writer) serve(ctx context.Context, reqs []*request) error {
	if reqs[0].job != nil {
		return w.settle(w.transact(ctx, func() error { return reqs[0].job(ctx, w.conn) }), reqs)
	}
	err := w.transact(ctx, func() error { return w.batch.write(ctx, w, reqs) })
	if isConstraint(err) && len(reqs) > 1 {
		// One of them cannot be written, an entry id that exists for instance. Each
		// on its own, so that only that one fails.
		for i := range reqs {
			if err := w.serve(ctx, reqs[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if err == nil {
		w.memory.publish(w.batch.heads, w.batch.tenants)
	}
	return w.settle(err, reqs)
}

// settle gives every request the outcome of their transaction.
func (w *writer) settle(err error, reqs []*request) error {
	switch {
	case err == nil:
		for _, r := range reqs {
			if r.after != nil {
				r.after()
			}
		}
		return nil
	case isFault(err):
	case isConstraint(err):
		err = fault.Wrap(fault.Conflict, err, "entry %s, or what it writes, is recorded already", reqs[0].commit.Entry.ID)
	case isBusy(err):
		err = fault.Wrap(fault.Unavailable, err, "the store could not write now; nothing was changed").
			WithHint("retry; if it persists, look for a full disk or for another program that holds the database locked")
	default:
		return err
	}
	for _, r := range reqs {
		r.err, r.receipt = err, ledger.Receipt{}
	}
	return nil
}

// transact runs f in one transaction that is durable when transact returns nil,
// and without effect when it returns an error that isBusy, isConstraint or
// isFault. After any other error the state of the disk is unknown.
func (w *writer) transact(ctx context.Context, f func() error) error {
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = w.exec(ctx, "COMMIT")
	}
	if err != nil {
		// SQLite may have rolled back already; then this fails, and the next BEGIN
		// tells whether a transaction is still open.
		_ = w.exec(ctx, "ROLLBACK")
	}
	return err
}

// exec runs a prepared statement, preparing it at its first use.
func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	s, err := w.stmt(ctx, query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx, args...)
	return err
}

func (w *writer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = s
	return s, nil
}

// maxRows is the most rows of one INSERT.
const maxRows = 64

// A multi is an INSERT of any number of rows, as statements of 64, 16, 4 and 1.
type multi struct {
	head    string // up to VALUES
	columns int
	tail    string
	sql     map[int]string // by number of rows, made at first use
}

// insert writes len(args)/m.columns rows.
func (w *writer) insert(ctx context.Context, m *multi, args []any) error {
	for rows := maxRows; len(args) > 0; {
		n := rows * m.columns
		if n > len(args) {
			rows /= 4
			continue
		}
		if err := w.exec(ctx, m.text(rows), args[:n]...); err != nil {
			return err
		}
		w.fold.written += rows
		args = args[n:]
	}
	return nil
}

func (m *multi) text(rows int) string {
	if s, ok := m.sql[rows]; ok {
		return s
	}
	one := "(?" + strings.Repeat(",?", m.columns-1) + ")"
	s := m.head + one + strings.Repeat(","+one, rows-1) + m.tail
	if m.sql == nil {
		m.sql = map[int]string{}
	}
	m.sql[rows] = s
	return s
}

// A list is a SELECT over a tenant and up to 256 keys, as statements of 1, 16
// and 256 whose last key is repeated to fill them.
type list struct {
	head string // up to IN
	sql  map[int]string
}

// each calls row for every row that matches tenant and one of keys.
func (w *writer) each(ctx context.Context, l *list, tenant string, keys []any, row func(*sql.Rows) error) error {
	for len(keys) > 0 {
		n := min(len(keys), 256)
		size := 1
		for size < n {
			size *= 16
		}
		args := append(w.args[:0], tenant)
		args = append(args, keys[:n]...)
		for len(args) <= size {
			args = append(args, keys[n-1])
		}
		w.args, keys = args, keys[n:]
		s, err := w.stmt(ctx, l.text(size))
		if err != nil {
			return err
		}
		rows, err := s.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			if err := row(rows); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (l *list) text(size int) string {
	if l.sql == nil {
		l.sql = map[int]string{}
	}
	if _, ok := l.sql[size]; !ok {
		l.sql[size] = l.head + " (?" + strings.Repeat(",?", size-1) + ")"
	}
	return l.sql[size]
}
