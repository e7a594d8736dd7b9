//go:build unix

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

func mint() principal.Minter { return principal.Minter{Now: time.Now, Entropy: rand.Reader} }

// fresh opens a store with one tenant in dir.
func fresh(t *testing.T, o Options) (*Store, principal.UID) {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.Err() == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	tenant := mint().New(principal.Tenant)
	if err := s.Init(context.Background(), tenant, "https://ambit.example"); err != nil {
		t.Fatal(err)
	}
	return s, tenant
}

func entry(tenant principal.UID) ledger.Commit {
	return ledger.Commit{Tenant: tenant, At: -1,
		Entry: ledger.Entry{ID: mint().New(principal.Entry), Time: time.Now(), Kind: ledger.Decision}}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	kind := func(t *testing.T, err error, k fault.Kind, says string) {
		t.Helper()
		if err == nil || fault.KindOf(err) != k || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %v that says %q", err, k, says)
		}
	}
	t.Run("a second process", func(t *testing.T) {
		dir := t.TempDir()
		fresh(t, Options{Dir: dir})
		_, err := Open(ctx, Options{Dir: dir})
		kind(t, err, fault.Conflict, "another process")
	})
	for setting, pragma := range map[string]string{"journal_mode": "journal_mode(DELETE)", "synchronous": "synchronous(NORMAL)"} {
		t.Run(pragma, func(t *testing.T) {
			pragmas := slices.DeleteFunc(writePragmas(), func(p string) bool { return strings.HasPrefix(p, setting) })
			_, err := open(ctx, Options{Dir: t.TempDir()}, append(pragmas, pragma))
			kind(t, err, fault.Conflict, setting)
		})
	}
	t.Run("a newer schema", func(t *testing.T) {
		dir := t.TempDir()
		s, _ := fresh(t, Options{Dir: dir})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
			t.Fatal(err)
		}
		_, err = Open(ctx, Options{Dir: dir})
		kind(t, err, fault.Conflict, "schema 999")
	})
	t.Run("what is no database", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), slices.Repeat([]byte("not a database "), 500), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(ctx, Options{Dir: dir})
		kind(t, err, fault.Unavailable, dir)
	})
}

// What others may read is made private, with its WAL.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, _ := fresh(t, Options{Dir: dir})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, fileName), 0o644); err != nil {
		t.Fatal(err)
	}
	fresh(t, Options{Dir: dir})
	for name, want := range map[string]fs.FileMode{".": 0o700, fileName: 0o600, fileName + "-wal": 0o600, lockName: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

// A failed write stops the store for good: nothing is retried, nothing that was
// not acknowledged is claimed, and the file opens again. The limit on the size
// of a file makes the kernel refuse real writes.
func TestDiskFails(t *testing.T) {
	if dir := os.Getenv("AMBIT_DISK_DIR"); dir != "" {
		diskChild(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFails$", "-test.v")
	cmd.Env = append(os.Environ(), "AMBIT_DISK_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var acked int64
	var tenant principal.UID
	_, line, _ := strings.Cut(string(out), "ACKED ")
	if _, err := fmt.Sscan(line, &tenant, &acked); err != nil || acked == 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	es, err := s.Entries(context.Background(), tenant, ledger.Filter{Limit: 1 << 20})
	if err != nil || int64(len(es)) < acked {
		t.Errorf("%d entries after %d were acknowledged, %v", len(es), acked, err)
	}
}

func diskChild(t *testing.T, dir string) {
	ctx := context.Background()
	s, tenant := fresh(t, Options{Dir: dir})
	signal.Ignore(syscall.SIGXFSZ) // so that the write fails instead
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skip(err)
	}
	acked := int64(0)
	for s.Err() == nil {
		c := entry(tenant)
		c.Entry.Payload = slices.Repeat([]byte("7"), 4000)
		r, err := s.Commit(ctx, c)
		if err == nil {
			acked = r.N
			continue
		}
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("commit: %v", err)
		}
	}
	limit.Cur = limit.Max
	for name, f := range map[string]func() error{
		"commit":  func() error { _, err := s.Commit(ctx, entry(tenant)); return err },
		"lazy":    func() error { c := entry(tenant); c.Lazy = true; _, err := s.Commit(ctx, c); return err },
		"heads":   func() error { _, err := s.Heads(ctx, tenant, tenant); return err },
		"load":    func() error { _, _, err := s.Load(ctx, tenant); return err },
		"entries": func() error { _, err := s.Entries(ctx, tenant, ledger.Filter{}); return err },
		"init":    func() error { return s.Init(ctx, mint().New(principal.Tenant), "https://other.example") },
	} {
		if err := f(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "disk failed") {
			t.Errorf("%s after the disk failed: %v", name, err)
		}
	}
	fmt.Printf("ACKED %s %d\n", tenant, acked)
	_ = s.Close() // says what failed
}

// The line in front of the writer is bounded, for callers and for lazy entries.
func TestQueueIsBounded(t *testing.T) {
	q := newQueue()
	for _, c := range []struct {
		n    int
		make func() *request
	}{
		{maxLazy, func() *request { return &request{queued: time.Now()} }},
		{maxQueued, func() *request { return &request{done: make(chan struct{}, 1)} }},
	} {
		for range c.n {
			if err := q.push(c.make()); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.push(c.make()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a full queue: %v", err)
		}
	}
	taken := 0
	for q.close(); ; {
		part := q.next(nil)
		if len(part) == 0 {
			break
		}
		if taken += len(part); len(part) > maxBatch {
			t.Fatalf("a batch of %d", len(part))
		}
	}
	if taken != maxLazy+maxQueued || q.lazy != 0 {
		t.Errorf("%d taken, %d lazy left", taken, q.lazy)
	}
}

// Once-keys are forgotten some time after they expire, and not before.
func TestOnceIsForgotten(t *testing.T) {
	now := time.Now()
	s, tenant := fresh(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	present := func(key string, expiry time.Time) error {
		c := entry(tenant)
		c.Once = []ledger.Once{{Key: key, Expiry: expiry}}
		_, err := s.Commit(context.Background(), c)
		return err
	}
	var errs []error
	for i := range 10 {
		errs = append(errs, present(fmt.Sprint("early", i), now.Add(time.Minute)))
	}
	errs = append(errs, present("late", now.Add(time.Hour)))
	now = now.Add(3 * time.Minute)
	for i := range 10 {
		errs = append(errs, present(fmt.Sprint("next", i), now.Add(time.Hour)))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if err := present("late", now.Add(time.Hour)); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a key that has not expired: %v", err)
	}
	var n int
	if err := s.one(context.Background(), "SELECT COUNT(*) FROM ledger_once", nil, &n); err != nil || n != 11 {
		t.Errorf("%d keys are kept, %v; want 11", n, err)
	}
}

// What is asked often is found by an index and never by reading everything.
func TestPlans(t *testing.T) {
	s, tenant := fresh(t, Options{Dir: t.TempDir()})
	filters := []ledger.Filter{{}, {Mission: tenant}, {Entry: tenant}, {After: 7}, {Mission: tenant, Kind: ledger.Outcome, After: 7}}
	for _, f := range filters {
		query, args := entriesQuery(tenant, f)
		rows, err := s.query(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, step)
		}
		text := strings.Join(plan, "\n")
		if strings.Contains(text, "SCAN e") || strings.Contains(text, "SCAN ledger") || strings.Contains(text, "SCAN p") {
			t.Errorf("%+v reads everything:\n%s", f, text)
		}
		if f.Mission != "" && !strings.Contains(text, "ledger_place_mission") {
			t.Errorf("%+v does not use the index by mission:\n%s", f, text)
		}
	}
}

func TestRateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SliceOf(rapid.Int64Range(0, 1<<55)).Draw(t, "rate")
		slices.Sort(rate)
		got, err := unpackRate(packRate(rate))
		if err != nil || !slices.Equal(got, rate) {
			t.Fatalf("%v became %v, %v", rate, got, err)
		}
	})
	if _, err := unpackRate([]byte{0x80}); err == nil {
		t.Error("a window that is cut short decodes")
	}
}

// No run of charges passes a limit, loses a call of the window, or goes below
// zero; a model that keeps every instant agrees.
func TestChargeHoldsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_800_000_000, 0)
		limit := ledger.Limit{Calls: rapid.Int64Range(-1, 9).Draw(t, "calls"), Cost: -1, Rows: -1, Children: -1,
			RateN: rapid.Int64Range(-1, 5).Draw(t, "n"), RatePer: time.Duration(rapid.IntRange(1, 20).Draw(t, "per")) * time.Second}
		var h ledger.Head
		var calls int64
		var instants []time.Time
		for range 40 {
			now := start.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "at")) * time.Second)
			c := ledger.Charge{Limit: limit, Calls: rapid.Int64Range(-2, 2).Draw(t, "add"), Rate: rapid.Bool().Draw(t, "rate")}
			next, err := charge(h, c, now)
			sum := max(0, calls+c.Calls)
			inside := int64(0)
			for _, at := range instants {
				if at.After(now.Add(-limit.RatePer)) {
					inside++
				}
			}
			adds := c.Calls > 0 || c.Rate
			if c.Rate {
				inside++
			}
			holds := !adds || (limit.Calls < 0 || sum <= limit.Calls) && (limit.RateN < 0 || inside <= limit.RateN)
			// The window forgets what the latest instant has left behind, so a call
			// that comes out of order may be allowed less strictly, never wrongly late.
			if err == nil && !holds && !now.Before(latest(instants)) {
				t.Fatalf("%+v at %v on %+v was taken", c, now, h)
			}
			if err != nil && holds {
				t.Fatalf("%+v at %v on %+v was refused: %v", c, now, h, err)
			}
			if err != nil {
				continue
			}
			if h, calls = next, sum; h.Calls != calls {
				t.Fatalf("%d calls, want %d", h.Calls, calls)
			}
			if c.Rate {
				instants = append(instants, now)
			}
		}
	})
}

func latest(ts []time.Time) time.Time {
	var last time.Time
	for _, at := range ts {
		if at.After(last) {
			last = at
		}
	}
	return last
}
