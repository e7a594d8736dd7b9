package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store/migration"
)

const (
	fileName = "ambit.db"
	lockName = "ambit.lock"
	readers  = 4 // connections of the read pool
)

// writePragmas are the settings of the writer's connection. SQLite is not to fold
// the WAL back by itself: folder does.
func writePragmas() []string {
	return []string{"journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)",
		"wal_autocheckpoint(0)", "journal_size_limit(67108864)", "cache_size(-32768)", "temp_store(MEMORY)"}
}

// Open opens the store in o.Dir, making it at first use and migrating an older
// one. It fails with fault.Conflict when another process has it open, and
// refuses a file that does not take the settings that durability rests on.
func Open(ctx context.Context, o Options) (*Store, error) {
	return open(ctx, o, writePragmas())
}

func open(ctx context.Context, o Options, pragmas []string) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the data directory %s cannot be made", o.Dir)
	}
	lock, err := lockFile(filepath.Join(o.Dir, lockName))
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, memory: newMemory(), queue: newQueue(), log: o.Log}
	if err := s.start(ctx, o, pragmas); err != nil {
		for _, db := range []*sql.DB{s.reads, s.db} {
			if db != nil {
				_ = db.Close() // the first error is the one to tell
			}
		}
		_ = lock.Close()
		if !isFault(err) {
			err = fault.Wrap(fault.Unavailable, err, "the store in %s cannot be opened", o.Dir)
		}
		return nil, err
	}
	go s.writer.run()
	return s, nil
}

func (s *Store) start(ctx context.Context, o Options, pragmas []string) error {
	path := filepath.Join(o.Dir, fileName)
	if err := private(path); err != nil {
		return err
	}
	var err error
	if s.db, err = sql.Open("sqlite", dsn(path, pragmas)); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if err := migrate(ctx, s.db); err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	if err := durable(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := s.identify(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	if s.reads, err = sql.Open("sqlite", dsn(path, []string{"query_only(1)", "synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-8192)"})); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	s.writer = &writer{
		conn: conn, queue: s.queue, memory: s.memory, now: o.Now, name: string(s.meta.Writer), boot: s.meta.Boot,
		nouns: map[string]*noun{}, fail: s.fail, stop: make(chan struct{}), sql: newInserts(), stmts: map[string]*sql.Stmt{},
		fold: folder{reads: s.reads},
	}
	for _, n := range nouns() {
		s.writer.nouns[n.kind] = n
	}
	return nil
}

// dsn names the file at path with settings that every connection starts with.
func dsn(path string, pragmas []string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// private makes the file at path if it is not there, and takes from group and
// others what they may do with it. SQLite gives its WAL the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync() // the file's name must outlive a power cut too
}

// migrate brings the schema to the version of this program. It refuses one that
// a newer program wrote.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migration.SQLite, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fault.New(fault.Conflict, "the store has schema %d, and this program knows %d", current, target).
			WithHint("start the newer version of ambit that made it")
	}
	_, err = p.Up(ctx)
	return err
}

// durable refuses a connection on which a commit could be lost: SQLite keeps
// quiet when it does not apply a setting.
func durable(ctx context.Context, conn *sql.Conn) error {
	for _, want := range [][2]string{{"journal_mode", "wal"}, {"synchronous", "2"}} {
		var have string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+want[0]).Scan(&have); err != nil {
			return err
		}
		if have != want[1] {
			return fault.New(fault.Conflict, "the store runs with %s=%s and could lose commits; it must be %s", want[0], have, want[1]).
				WithHint("put the data directory on a local disk")
		}
	}
	return nil
}

// identify reads what the store is, naming it at its first start, counts this
// start, and fills memory with the tenants.
func (s *Store) identify(ctx context.Context, conn *sql.Conn) error {
	mint := principal.Minter{Now: time.Now, Entropy: rand.Reader}
	for _, m := range []struct{ name, value string }{{"incarnation", rand.Text()}, {"writer", string(mint.New(principal.Point))}} {
		if _, err := conn.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", m.name, m.value); err != nil {
			return err
		}
	}
	get := func(name string, dest any) error {
		return conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = $1", name).Scan(dest)
	}
	if err := errors.Join(get("incarnation", &s.meta.Incarnation), get("writer", &s.meta.Writer)); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, "INSERT INTO writer (writer, boot) VALUES ($1, 1)"+
		" ON CONFLICT (writer) DO UPDATE SET boot = writer.boot + 1 RETURNING boot", string(s.meta.Writer)).Scan(&s.meta.Boot); err != nil {
		return err
	}
	rows, err := conn.QueryContext(ctx, "SELECT t.tenant, t.issuer, t.revision, COALESCE(c.n, 0), COALESCE(c.prev, '')"+
		" FROM tenant t LEFT JOIN ledger_chain c ON c.tenant = t.tenant")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id principal.UID
		var t tenantRow
		if err := rows.Scan(&id, &t.issuer, &t.revision, &t.n, &t.prev); err != nil {
			return err
		}
		s.memory.tenants[id] = t
	}
	return rows.Err()
}

// isConstraint reports a statement that broke a unique index.
func isConstraint(err error) bool { return code(err) == sqlite3.SQLITE_CONSTRAINT }

// isBusy reports an error that left the file as it was, and may pass: a lock that
// another program holds, no memory, a full disk.
func isBusy(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL:
		return true
	}
	return false
}

// code returns SQLite's primary result code of err, -1 for another error.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return -1
}
