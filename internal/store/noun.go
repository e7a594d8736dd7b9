package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
)

// A noun binds the Kind of a ledger.Row to its table.
type noun struct {
	kind, table string
	// upsert writes any number of rows, remove deletes one, unlabel takes the
	// handle from one.
	upsert          multi
	remove, unlabel string
}

func newNoun(kind, table string) *noun {
	return &noun{
		kind: kind, table: table,
		upsert: multi{
			head: "INSERT INTO " + table + " (tenant, key, handle, body, revision) VALUES ", columns: 5,
			tail: " ON CONFLICT (tenant, key) DO UPDATE SET handle = excluded.handle, body = excluded.body, revision = excluded.revision",
		},
		remove:  "DELETE FROM " + table + " WHERE tenant = $1 AND key = $2",
		unlabel: "UPDATE " + table + " SET handle = '' WHERE tenant = $1 AND key = $2",
	}
}

// nouns returns the tables of all rooms in the order in which Load reads them:
// who, what can be done, under which mandate, by which rule, and the facts.
func nouns() []*noun {
	return slices.Concat(directoryNouns(), mappingNouns(), delegationNouns(), policyNouns(), relationNouns())
}

// writeRows writes the rows of one commit at revision inside a savepoint, so
// that a label that is taken undoes this commit and no other.
//
// The quick way writes as many rows with one statement as it can. It may stumble
// over a label that another row of the same commit is about to give up; the slow
// way, taken only then, clears the labels first, so that a commit means the same
// in every order of its rows, and names the label that is really taken.
func (w *writer) writeRows(ctx context.Context, c *ledger.Commit, revision int64) error {
	if err := w.exec(ctx, "SAVEPOINT nouns"); err != nil {
		return err
	}
	err := w.upsertRows(ctx, c, revision)
	if isConstraint(err) {
		if err := w.exec(ctx, "ROLLBACK TO SAVEPOINT nouns"); err != nil {
			return err
		}
		err = w.relabelRows(ctx, c, revision)
	}
	if err != nil && !isFault(err) {
		return err
	}
	if err != nil {
		if undo := w.exec(ctx, "ROLLBACK TO SAVEPOINT nouns"); undo != nil {
			return undo
		}
	}
	if release := w.exec(ctx, "RELEASE SAVEPOINT nouns"); release != nil {
		return release
	}
	return err
}

func (w *writer) upsertRows(ctx context.Context, c *ledger.Commit, revision int64) error {
	for i := range c.Rows {
		if r := &c.Rows[i]; len(r.Body) == 0 {
			if err := w.exec(ctx, w.nouns[r.Kind].remove, string(c.Tenant), r.Key); err != nil {
				return err
			}
		}
	}
	for i := 0; i < len(c.Rows); {
		kind, args := c.Rows[i].Kind, w.args[:0]
		for ; i < len(c.Rows) && c.Rows[i].Kind == kind; i++ {
			if r := &c.Rows[i]; len(r.Body) > 0 {
				args = append(args, string(c.Tenant), r.Key, r.Handle, []byte(r.Body), revision)
			}
			if len(args) >= 5*maxRows {
				i++
				break
			}
		}
		w.args = args
		if err := w.insert(ctx, &w.nouns[kind].upsert, args); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) relabelRows(ctx context.Context, c *ledger.Commit, revision int64) error {
	for i := range c.Rows {
		r, sql := &c.Rows[i], w.nouns[c.Rows[i].Kind].unlabel
		if len(r.Body) == 0 {
			sql = w.nouns[r.Kind].remove
		}
		if err := w.exec(ctx, sql, string(c.Tenant), r.Key); err != nil {
			return err
		}
	}
	for i := range c.Rows {
		r := &c.Rows[i]
		if len(r.Body) == 0 {
			continue
		}
		err := w.insert(ctx, &w.nouns[r.Kind].upsert, []any{string(c.Tenant), r.Key, r.Handle, []byte(r.Body), revision})
		if isConstraint(err) {
			return fault.Wrap(fault.Conflict, err, "%s %q exists already", r.Kind, r.Handle).
				WithHint("choose another handle, or change the one that exists")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadNouns reads every object of a tenant inside tx.
func loadNouns(ctx context.Context, tx *sql.Tx, tenant string) ([]ledger.Row, error) {
	var all []ledger.Row
	for _, n := range nouns() {
		rows, err := tx.QueryContext(ctx, "SELECT key, handle, body FROM "+n.table+" WHERE tenant = $1 ORDER BY key", tenant)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			r := ledger.Row{Kind: n.kind}
			var body sql.RawBytes
			if err := rows.Scan(&r.Key, &r.Handle, &body); err != nil {
				rows.Close()
				return nil, err
			}
			r.Body = append(json.RawMessage{}, body...)
			all = append(all, r)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}
