package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Meta is what a store is, as opposed to what it holds.
type Meta struct {
	// Incarnation names this history of revisions. A store that is restored from a
	// backup must get a new one, because its revisions may go back.
	Incarnation string
	// Writer is the name under which this store's entries are numbered, a uid of
	// prefix evp; Boot counts its starts from 1.
	Writer principal.UID
	Boot   int64
	// Tenants are those that Init made, by uid.
	Tenants []Tenant
}

// A Tenant is an issuer with its own revision and ledger.
type Tenant struct {
	ID       principal.UID
	Issuer   string // URL
	Revision int64
}

// A Revision is one step of a tenant's state: the rows to apply, in their order,
// to the state at N-1. It has no rows when it only bumped heads.
type Revision struct {
	N    int64
	Rows []ledger.Row
}

// Init makes a tenant at revision 0. It does nothing when that tenant is there
// with the same issuer, and fails with fault.Conflict when it has another:
// whatever was signed for the old one would no longer verify.
func (s *Store) Init(ctx context.Context, tenant principal.UID, issuer string) error {
	if !tenant.Is(principal.Tenant) || issuer == "" {
		return fault.New(fault.Malformed, "a tenant needs a uid of prefix %s and an issuer; got %q and %q", principal.Tenant, tenant, issuer)
	}
	if t, ok := s.memory.tenant(tenant); ok {
		if t.issuer != issuer {
			return fault.New(fault.Conflict, "tenant %s has the issuer %s; it cannot become %s", tenant, t.issuer, issuer).
				WithHint("start with the issuer it was made with, or in another data directory")
		}
		return nil
	}
	return s.do(ctx, func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "INSERT INTO tenant (tenant, issuer, revision) VALUES ($1, $2, 0)", string(tenant), issuer)
		return err
	}, func() {
		s.memory.mu.Lock()
		defer s.memory.mu.Unlock()
		s.memory.tenants[tenant] = tenantRow{issuer: issuer}
	})
}

// Meta returns what this store is and which tenants it has.
func (s *Store) Meta(ctx context.Context) (Meta, error) {
	m := s.meta
	rows, err := s.query(ctx, "SELECT tenant, issuer, revision FROM tenant ORDER BY tenant")
	if err != nil {
		return Meta{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var t Tenant
		if err := rows.Scan(&t.ID, &t.Issuer, &t.Revision); err != nil {
			return Meta{}, s.readFailed(err)
		}
		m.Tenants = append(m.Tenants, t)
	}
	return m, s.readFailed(rows.Err())
}

// Revision returns the tenant's latest revision, 0 before its first change.
func (s *Store) Revision(_ context.Context, tenant principal.UID) (int64, error) {
	if err := s.Err(); err != nil {
		return 0, err
	}
	t, ok := s.memory.tenant(tenant)
	if !ok {
		return 0, errTenant(tenant)
	}
	return t.revision, nil
}

// Notify returns a channel that is closed when the next revision of any tenant
// commits. Take it before reading Revision or Changes, so that no revision falls
// between; it is a hint for speed and no part of correctness.
func (s *Store) Notify() <-chan struct{} {
	s.memory.mu.RLock()
	defer s.memory.mu.RUnlock()
	return s.memory.changed
}

// Load returns every object of the tenant and the revision at which they are
// so, both from one read transaction. Rows of a kind stand in the order of keys.
func (s *Store) Load(ctx context.Context, tenant principal.UID) (revision int64, rows []ledger.Row, err error) {
	if err := s.Err(); err != nil {
		return 0, nil, err
	}
	tx, err := s.reads.BeginTx(ctx, nil)
	if err != nil {
		return 0, nil, s.readFailed(err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	err = tx.QueryRowContext(ctx, "SELECT revision FROM tenant WHERE tenant = $1", string(tenant)).Scan(&revision)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, errTenant(tenant)
	}
	if err != nil {
		return 0, nil, s.readFailed(err)
	}
	if rows, err = loadNouns(ctx, tx, string(tenant)); err != nil {
		return 0, nil, s.readFailed(err)
	}
	return revision, rows, nil
}

// Changes returns the revisions after after, at most limit of them, without a
// gap; none when after is the latest.
func (s *Store) Changes(ctx context.Context, tenant principal.UID, after int64, limit int) ([]Revision, error) {
	latest, err := s.Revision(ctx, tenant)
	if err != nil {
		return nil, err
	}
	last := min(latest, after+int64(max(0, limit)))
	if after < 0 || after > latest {
		return nil, fault.New(fault.Conflict, "revision %d of tenant %s is asked for, but the latest is %d", after, tenant, latest).
			WithHint("load the state anew: it comes from another history of this store")
	}
	if after == last {
		return nil, nil
	}
	rows, err := s.query(ctx, "SELECT revision, kind, key, handle, body FROM change_log"+
		" WHERE tenant = $1 AND revision > $2 AND revision <= $3 ORDER BY revision, i", string(tenant), after, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	revisions := make([]Revision, last-after)
	for i := range revisions {
		revisions[i].N = after + 1 + int64(i)
	}
	for rows.Next() {
		var n int64
		var r ledger.Row
		if err := rows.Scan(&n, &r.Kind, &r.Key, &r.Handle, (*[]byte)(&r.Body)); err != nil {
			return nil, s.readFailed(err)
		}
		at := &revisions[n-after-1]
		at.Rows = append(at.Rows, r)
	}
	return revisions, s.readFailed(rows.Err())
}

// logRevision writes the tenant's next revision: its rows, then its number.
func (w *writer) logRevision(ctx context.Context, tenant principal.UID, t *tenantWork) error {
	next := t.revision + 1
	for at := 0; at < len(t.log); at += maxRows {
		args := w.args[:0]
		for i, r := range t.log[at:min(at+maxRows, len(t.log))] {
			body := any(nil)
			if len(r.Body) > 0 {
				body = []byte(r.Body)
			}
			args = append(args, string(tenant), next, int64(at+i), r.Kind, r.Key, r.Handle, body)
		}
		w.args = args
		if err := w.insert(ctx, &w.sql.change, args); err != nil {
			return err
		}
	}
	s, err := w.stmt(ctx, "UPDATE tenant SET revision = $1 WHERE tenant = $2 AND revision = $3")
	if err != nil {
		return err
	}
	done, err := s.ExecContext(ctx, next, string(tenant), t.revision)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, errors.New("the tenant's revision is not the one this writer left: another program wrote to the store"))
	}
	return nil
}
