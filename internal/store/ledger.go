package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
)

// The statements of a batch that write many rows, and those that ask about many.
type inserts struct {
	entry, head, once, change multi
	place, run, tile          multi
	heads, presented          list
}

func newInserts() inserts {
	return inserts{
		entry: multi{head: "INSERT INTO ledger_entry (tenant, n, id, kind, mission, run, draft, payload, salt) VALUES ", columns: 9},
		head: multi{
			head: "INSERT INTO ledger_head (tenant, id, epoch, calls, cost, row_count, children, rate) VALUES ", columns: 8,
			tail: " ON CONFLICT (tenant, id) DO UPDATE SET epoch = excluded.epoch, calls = excluded.calls, cost = excluded.cost," +
				" row_count = excluded.row_count, children = excluded.children, rate = excluded.rate",
		},
		once:   multi{head: "INSERT INTO ledger_once (tenant, key, expiry) VALUES ", columns: 3},
		change: multi{head: "INSERT INTO change_log (tenant, revision, i, kind, key, handle, body) VALUES ", columns: 7},
		place:  multi{head: "INSERT INTO ledger_place (tenant, idx, n, run_n, mission) VALUES ", columns: 5},
		run: multi{
			head: "INSERT INTO ledger_run (tenant, run, n) VALUES ", columns: 3,
			tail: " ON CONFLICT (tenant, run) DO UPDATE SET n = excluded.n",
		},
		tile: multi{
			head: "INSERT INTO ledger_tile (tenant, level, n, width, data) VALUES ", columns: 5,
			tail: " ON CONFLICT (tenant, level, n) DO UPDATE SET width = excluded.width, data = excluded.data" +
				" WHERE excluded.width > ledger_tile.width",
		},
		heads:     list{head: "SELECT id, epoch, calls, cost, row_count, children, rate FROM ledger_head WHERE tenant = ? AND id IN"},
		presented: list{head: "SELECT key FROM ledger_once WHERE tenant = ? AND key IN"},
	}
}

const chainSQL = "INSERT INTO ledger_chain (tenant, n, prev) VALUES ($1, $2, $3)" +
	" ON CONFLICT (tenant) DO UPDATE SET n = excluded.n, prev = excluded.prev"

// loadHeads puts those of the heads ids that exist into into.
func (w *writer) loadHeads(ctx context.Context, tenant principal.UID, ids []any, into map[headKey]headRow) error {
	return w.each(ctx, &w.sql.heads, string(tenant), ids, func(rows *sql.Rows) error {
		k, h, err := scanHead(tenant, rows)
		into[k] = h
		return err
	})
}

func scanHead(tenant principal.UID, rows *sql.Rows) (headKey, headRow, error) {
	k, h := headKey{tenant: tenant}, headRow{stored: true}
	var rate []byte
	err := rows.Scan(&k.id, &h.Epoch, &h.Calls, &h.Cost, &h.Head.Rows, &h.Children, &rate)
	if err == nil {
		h.Rate, err = unpackRate(rate)
	}
	return k, h, err
}

// loadOnce marks those of keys that were presented before.
func (w *writer) loadOnce(ctx context.Context, tenant principal.UID, keys []any, into map[onceKey]bool) error {
	return w.each(ctx, &w.sql.presented, string(tenant), keys, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		into[onceKey{tenant, key}] = true
		return err
	})
}

// onceGrace is how long a once-key is kept past its expiry, for clocks that were
// set back.
const onceGrace = time.Minute

// forgetOnce removes at most limit once-keys that have expired. Every batch that
// adds some takes twice as many away, so that no sweep ever holds up commits.
func (w *writer) forgetOnce(ctx context.Context, limit int) error {
	return w.exec(ctx, "DELETE FROM ledger_once WHERE (tenant, key) IN"+
		" (SELECT tenant, key FROM ledger_once WHERE expiry < $1 ORDER BY expiry LIMIT $2)",
		w.now().Add(-onceGrace).UnixMicro(), int64(limit))
}
