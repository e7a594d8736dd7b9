package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

var _ ledger.Store = (*Store)(nil)

// A Store is the embedded store: one SQLite file that one process has open. All
// methods are safe for concurrent use. Every error is a fault; after the disk
// failed, and after Close, all of them are fault.Unavailable.
type Store struct {
	lock   *os.File // held for the life of the process
	db     *sql.DB  // the writer's one connection
	reads  *sql.DB
	memory *memory
	queue  *queue
	writer *writer
	meta   Meta // without tenants
	log    *slog.Logger

	broken   atomic.Pointer[error] // why nothing is answered any more
	requests sync.Pool             // of *request with a channel
}

// Options configure a Store.
type Options struct {
	// Dir is the data directory, on a local disk; it is made with mode 0700.
	Dir string
	// Now is the clock that once-keys expire by; nil means time.Now. The entries'
	// own times come with the commits.
	Now func() time.Time
	// Log receives the fault that stopped the store; nil means nowhere.
	Log *slog.Logger
}

// Commit implements ledger.Store. When ctx ends before the writer has taken the
// commit up, nothing was written and the fault is Unavailable; from then on
// Commit waits for the outcome, which a few fsyncs bound.
func (s *Store) Commit(ctx context.Context, c ledger.Commit) (ledger.Receipt, error) {
	if err := s.Err(); err != nil {
		return ledger.Receipt{}, err
	}
	t, ok := s.memory.tenant(c.Tenant)
	if !ok {
		return ledger.Receipt{}, errTenant(c.Tenant)
	}
	digest, err := s.check(&c)
	if err != nil {
		return ledger.Receipt{}, err
	}
	if c.Lazy {
		err := s.queue.push(&request{commit: c, queued: time.Now()})
		if err != nil {
			return ledger.Receipt{}, err
		}
		return ledger.Receipt{Revision: t.revision}, nil
	}
	r, _ := s.requests.Get().(*request)
	if r == nil {
		r = &request{done: make(chan struct{}, 1)}
	}
	r.commit, r.digest = c, digest
	if err := s.wait(ctx, r); err != nil {
		return ledger.Receipt{}, err
	}
	receipt, err := r.receipt, r.err
	*r = request{done: r.done}
	s.requests.Put(r)
	return receipt, err
}

// wait sends r to the writer and returns when r has its answer. It returns an
// error when r was never taken up.
func (s *Store) wait(ctx context.Context, r *request) error {
	if err := s.queue.push(r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	if s.queue.withdraw(r) {
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the caller left before the store could write; nothing was changed")
	}
	<-r.done
	return nil
}

// do runs job in a transaction of its own, between batches, and after once it is
// durable.
func (s *Store) do(ctx context.Context, job func(context.Context, *sql.Conn) error, after func()) error {
	if err := s.Err(); err != nil {
		return err
	}
	r := &request{job: job, after: after, done: make(chan struct{}, 1)}
	if err := s.wait(ctx, r); err != nil {
		return err
	}
	return r.err
}

// check refuses what the contract of ledger.Commit forbids, before anything is
// queued, and returns the digest of the rows.
func (s *Store) check(c *ledger.Commit) (digest string, err error) {
	e := &c.Entry
	switch {
	case !e.ID.Is(principal.Entry), e.Kind == "", e.Time.IsZero():
		return "", misuse("entry %q of kind %q needs a uid, a kind and a time", e.ID, e.Kind)
	case len(e.Action) > maxAction: // the one word of a leaf that is not a uid, a hash or Ambit's own
		return "", misuse("the action of entry %s has %d bytes: its leaf could not be verified", e.ID, len(e.Action))
	case c.Lazy && (len(c.Conditions) > 0 || len(c.Bump) > 0 || len(c.Rows) > 0 || len(c.Once) > 0):
		return "", misuse("lazy entry %s comes with conditions, bumps, rows or once-keys", e.ID)
	}
	if len(e.Payload) > maxBody {
		return "", tooLarge("the payload of entry "+string(e.ID), len(e.Payload))
	}
	for i := range c.Charges {
		if c.Lazy && !returns(c.Charges[i]) {
			return "", misuse("lazy entry %s comes with a charge that can fail", e.ID)
		}
	}
	for _, o := range c.Once {
		if o.Key == "" || o.Expiry.IsZero() {
			return "", misuse("a once-key of entry %s has no key or no expiry", e.ID)
		}
	}
	if len(c.Rows) == 0 {
		return "", nil
	}
	seen := make(map[[2]string]bool, len(c.Rows))
	for i, r := range c.Rows {
		id := [2]string{r.Kind, r.Key}
		if s.writer.nouns[r.Kind] == nil || r.Key == "" || seen[id] {
			return "", misuse("row %d of entry %s (%q %q) is of no known kind, without a key, or there twice", i, e.ID, r.Kind, r.Key)
		}
		if len(r.Body) > maxBody {
			return "", tooLarge(r.Kind+" "+r.Key, len(r.Body))
		}
		seen[id] = true
	}
	if digest = ledger.RowsDigest(c.Rows); digest == "" {
		return "", misuse("a row of entry %s has a body that is not JSON", e.ID)
	}
	return digest, nil
}

// Heads implements ledger.Store. Heads in use come from memory.
func (s *Store) Heads(ctx context.Context, tenant principal.UID, ids ...principal.UID) (map[principal.UID]ledger.Head, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	heads := make(map[principal.UID]ledger.Head, len(ids))
	var cold []principal.UID
	s.memory.mu.RLock()
	for _, id := range ids {
		h, ok := s.memory.heads[headKey{tenant, id}]
		switch {
		case !ok:
			cold = append(cold, id)
		case h.stored:
			heads[id] = h.Head
		}
	}
	s.memory.mu.RUnlock()
	for _, id := range cold {
		rows, err := s.query(ctx, s.writer.sql.heads.head+" (?)", string(tenant), string(id))
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			_, h, err := scanHead(tenant, rows)
			if err != nil {
				rows.Close()
				return nil, s.readFailed(err)
			}
			heads[id] = h.Head
		}
		if err := rows.Err(); err != nil {
			return nil, s.readFailed(err)
		}
	}
	return heads, nil
}

// Err returns nil while the store works, else why it does not.
func (s *Store) Err() error {
	if p := s.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// Close writes what is queued, lazy entries included, folds the WAL back and
// releases the file. Its error says that one of these failed.
func (s *Store) Close() error {
	s.queue.close()
	<-s.writer.stop
	var err error
	if s.Err() == nil {
		err = s.writer.exec(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	closed := errClosed()
	s.broken.CompareAndSwap(nil, &closed)
	for _, stmt := range s.writer.stmts {
		_ = stmt.Close() // the connection goes next
	}
	return errors.Join(err, s.reads.Close(), s.writer.conn.Close(), s.db.Close(), s.lock.Close())
}

// fail stops the store: err came from the disk.
func (s *Store) fail(err error) {
	broken := errBroken(err)
	if s.broken.CompareAndSwap(nil, &broken) && s.log != nil {
		s.log.Error("the store stopped: it could not make a commit durable, and will not guess what is on the disk; restart to read it anew", "err", err)
	}
	s.queue.close()
}

func (s *Store) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	rows, err := s.reads.QueryContext(ctx, query, args...)
	return rows, s.readFailed(err)
}

// one reads a single row; sql.ErrNoRows and the driver's errors come back bare.
func (s *Store) one(ctx context.Context, query string, args []any, dest ...any) error {
	if err := s.Err(); err != nil {
		return err
	}
	return s.reads.QueryRowContext(ctx, query, args...).Scan(dest...)
}

// readFailed classifies the error of a read; nil stays nil and a fault stays.
func (s *Store) readFailed(err error) error {
	if err == nil || isFault(err) {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "the store could not be read")
}

func isFault(err error) bool {
	_, ok := errors.AsType[*fault.Error](err)
	return ok
}

func errTenant(id principal.UID) error {
	return fault.New(fault.NotFound, "tenant %s is not in this store", id).WithHint("make it with Init first")
}

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }

func errBroken(cause error) error {
	return fault.Wrap(fault.Unavailable, cause, "the store stopped because its disk failed").
		WithHint("see the server's log, check the disk and restart the server")
}

// maxBody bounds a payload and a row's body, far below what SQL can hold and far
// above what a face lets in.
const maxBody = 16 << 20

// maxAction bounds the action of an entry, far above the name of any tool and far
// below a leaf (proof.MaxLeaf).
const maxAction = 1 << 10

func tooLarge(what string, bytes int) error {
	return fault.New(fault.TooLarge, "%s has %d bytes; the store takes %d", what, bytes, maxBody)
}

// misuse is a commit that breaks the contract: a mistake in the program, of which
// the caller is told nothing.
func misuse(format string, args ...any) error {
	return fault.New(fault.Internal, "commit refused: "+format, args...)
}
