package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

var _ ledger.Log = (*Store)(nil)

// defaultEntries is how many entries a Filter without a limit returns.
const defaultEntries = 10_000

// Entries implements ledger.Log. An index follows the writer's order, so the
// order of n is the order of index.
func (s *Store) Entries(ctx context.Context, tenant principal.UID, f ledger.Filter) ([]ledger.Stored, error) {
	query, args := entriesQuery(tenant, f)
	rows, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []ledger.Stored
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, s.readFailed(err)
		}
		entries = append(entries, e)
	}
	return entries, s.readFailed(rows.Err())
}

// entriesQuery returns the SELECT for f. By mission it finds what is sequenced in
// the index and the few others by looking at all that are not.
func entriesQuery(tenant principal.UID, f ledger.Filter) (query string, args []any) {
	var where strings.Builder
	args = []any{string(tenant)}
	and := func(condition string, values ...any) {
		where.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	if f.Mission != "" {
		and("e.n IN (SELECT n FROM ledger_place WHERE tenant = ? AND mission = ? AND mission <> ''"+
			" UNION ALL SELECT n FROM ledger_entry WHERE tenant = ?"+
			" AND n > COALESCE((SELECT n FROM ledger_size WHERE tenant = ?), 0) AND mission = ?)",
			string(tenant), string(f.Mission), string(tenant), string(tenant), string(f.Mission))
	}
	if f.Entry != "" {
		and("e.id = ?", string(f.Entry))
	}
	if f.Kind != "" {
		and("e.kind = ?", string(f.Kind))
	}
	if f.After > 0 {
		and("e.n > COALESCE((SELECT n FROM ledger_place WHERE tenant = ? AND idx <= ? ORDER BY idx DESC LIMIT 1), 0)", string(tenant), f.After)
	}
	limit := int64(f.Limit)
	if limit <= 0 {
		limit = defaultEntries
	}
	return "SELECT e.draft, e.payload, e.salt, p.idx, p.run_n FROM ledger_entry e" +
		" LEFT JOIN ledger_place p ON p.tenant = e.tenant AND p.n = e.n" +
		" WHERE e.tenant = ?" + where.String() + " ORDER BY e.n LIMIT ?", append(args, limit)
}

func scanEntry(rows *sql.Rows) (ledger.Stored, error) {
	var e ledger.Stored
	var draft, salt sql.RawBytes
	var index, runN sql.NullInt64
	if err := rows.Scan(&draft, (*[]byte)(&e.Payload), &salt, &index, &runN); err != nil {
		return e, err
	}
	if err := json.Unmarshal(draft, &e.Leaf); err != nil {
		return e, err
	}
	if len(salt) != len(e.Salt) {
		return e, errors.New("an entry's salt is not 32 bytes long")
	}
	copy(e.Salt[:], salt)
	e.Leaf.Index = -1
	if index.Valid {
		e.Leaf.Index, e.Leaf.RunN = index.Int64, runN.Int64
	}
	return e, nil
}

// Pending implements ledger.Log.
func (s *Store) Pending(ctx context.Context, tenant principal.UID, limit int) ([]ledger.Pending, error) {
	rows, err := s.query(ctx, "SELECT n, draft, run FROM ledger_entry WHERE tenant = $1"+
		" AND n > COALESCE((SELECT n FROM ledger_size WHERE tenant = $1), 0) ORDER BY n LIMIT $2", string(tenant), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var pending []ledger.Pending
	for rows.Next() {
		var p ledger.Pending
		if err := rows.Scan(&p.N, &p.Draft, &p.Run); err != nil {
			return nil, s.readFailed(err)
		}
		pending = append(pending, p)
	}
	return pending, s.readFailed(rows.Err())
}

// RunCounts implements ledger.Log.
func (s *Store) RunCounts(ctx context.Context, tenant principal.UID, runs []principal.UID) (map[principal.UID]int64, error) {
	counts := make(map[principal.UID]int64, len(runs))
	for part := range slices.Chunk(runs, 256) {
		args := []any{string(tenant)}
		for _, r := range part {
			args = append(args, string(r))
			counts[r] = 0
		}
		rows, err := s.query(ctx, "SELECT run, n FROM ledger_run WHERE tenant = ? AND run IN (?"+strings.Repeat(",?", len(part)-1)+")", args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var run principal.UID
			var n int64
			if err := rows.Scan(&run, &n); err != nil {
				rows.Close()
				return nil, s.readFailed(err)
			}
			counts[run] = n
		}
		if err := rows.Err(); err != nil {
			return nil, s.readFailed(err)
		}
	}
	return counts, nil
}

// Sequence implements ledger.Log. Assignments must be of the oldest unsequenced
// entries in n order and of the indexes from from on, both without a gap;
// anything else is fault.Conflict. Commits wait while it writes, so a sequencer
// that is behind should come with a thousand or so at a time.
func (s *Store) Sequence(ctx context.Context, tenant principal.UID, from int64, as []ledger.Assigned, tiles []ledger.Tile) error {
	if len(as) == 0 {
		return nil
	}
	return s.do(ctx, func(ctx context.Context, _ *sql.Conn) error {
		return s.writer.sequence(ctx, string(tenant), from, as, tiles)
	}, nil)
}

func (w *writer) sequence(ctx context.Context, tenant string, from int64, as []ledger.Assigned, tiles []ledger.Tile) error {
	var size, n int64
	err := w.conn.QueryRowContext(ctx, "SELECT size, n FROM ledger_size WHERE tenant = $1", tenant).Scan(&size, &n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if size != from {
		return fault.New(fault.Conflict, "the ledger has %d entries with an index, not %d", size, from)
	}
	for i, a := range as {
		if a.N != n+1+int64(i) || a.Index != from+int64(i) {
			return fault.New(fault.Conflict, "entry n=%d is given index %d; n=%d and index %d come next", a.N, a.Index, n+1+int64(i), from+int64(i))
		}
	}
	if err := w.place(ctx, tenant, as); err != nil {
		return err
	}
	args := w.args[:0]
	for _, t := range tiles {
		args = append(args, tenant, int64(t.Level), t.N, int64(t.Width), t.Data)
	}
	w.args = args
	if err := w.insert(ctx, &w.sql.tile, args); err != nil {
		return err
	}
	return w.exec(ctx, "INSERT INTO ledger_size (tenant, size, n) VALUES ($1, $2, $3)"+
		" ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, n = excluded.n", tenant, from+int64(len(as)), n+int64(len(as)))
}

// place writes where the entries as stand, and the last number of every run among
// them. It fails when one of them does not exist.
func (w *writer) place(ctx context.Context, tenant string, as []ledger.Assigned) error {
	first := as[0].N
	rows, err := w.conn.QueryContext(ctx, "SELECT mission, run FROM ledger_entry WHERE tenant = $1 AND n >= $2 AND n <= $3 ORDER BY n",
		tenant, first, as[len(as)-1].N)
	if err != nil {
		return err
	}
	defer rows.Close()
	last, found, args := map[string]int64{}, 0, w.args[:0]
	for ; rows.Next(); found++ {
		var mission, run string
		if err := rows.Scan(&mission, &run); err != nil {
			return err
		}
		a := as[found]
		if run != "" {
			last[run] = a.RunN
		}
		args = append(args, tenant, a.Index, a.N, a.RunN, mission)
	}
	w.args = args
	if err := rows.Err(); err != nil {
		return err
	}
	if found != len(as) {
		return fault.New(fault.Conflict, "an index is given to an entry that does not exist: %d entries from n=%d on, not %d", found, first, len(as))
	}
	if err := w.insert(ctx, &w.sql.place, args); err != nil {
		return err
	}
	counts := make([]any, 0, 3*len(last))
	for run, n := range last {
		counts = append(counts, tenant, run, n)
	}
	return w.insert(ctx, &w.sql.run, counts)
}

// Size implements ledger.Log.
func (s *Store) Size(ctx context.Context, tenant principal.UID) (size int64, err error) {
	err = s.one(ctx, "SELECT size FROM ledger_size WHERE tenant = $1", []any{string(tenant)}, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return size, s.readFailed(err)
}

// ReadTile implements ledger.Log. A tile that is not stored that wide is
// fault.NotFound.
func (s *Store) ReadTile(ctx context.Context, tenant principal.UID, level int, n int64, width int) (data []byte, err error) {
	err = s.one(ctx, "SELECT data FROM ledger_tile WHERE tenant = $1 AND level = $2 AND n = $3 AND width >= $4",
		[]any{string(tenant), int64(level), n, int64(width)}, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "tile %d/%d of width %d is not in the ledger of %s", level, n, width, tenant)
	}
	return data, s.readFailed(err)
}

// SaveCheckpoint implements ledger.Log. A checkpoint that is smaller than the
// last, or as large with another root, is fault.Conflict: the log would contradict
// what it signed.
func (s *Store) SaveCheckpoint(ctx context.Context, tenant principal.UID, c ledger.Checkpoint) error {
	return s.do(ctx, func(ctx context.Context, conn *sql.Conn) error {
		last, seq, err := lastCheckpoint(conn.QueryRowContext(ctx, lastCheckpointSQL, string(tenant)))
		if err != nil {
			return err
		}
		if c.Size < last.Size || c.Size == last.Size && seq > 0 && c.Root != last.Root {
			return fault.New(fault.Conflict, "a checkpoint of size %d and root %s contradicts the last one, of size %d and root %s",
				c.Size, c.Root, last.Size, last.Root)
		}
		_, err = conn.ExecContext(ctx, "INSERT INTO ledger_checkpoint (tenant, seq, size, root, note, at) VALUES ($1, $2, $3, $4, $5, $6)",
			string(tenant), seq+1, c.Size, c.Root[:], c.Note, c.At.UnixMicro())
		return err
	}, nil)
}

// LastCheckpoint implements ledger.Log.
func (s *Store) LastCheckpoint(ctx context.Context, tenant principal.UID) (ledger.Checkpoint, error) {
	if err := s.Err(); err != nil {
		return ledger.Checkpoint{}, err
	}
	c, _, err := lastCheckpoint(s.reads.QueryRowContext(ctx, lastCheckpointSQL, string(tenant)))
	return c, s.readFailed(err)
}

const lastCheckpointSQL = "SELECT seq, size, root, note, at FROM ledger_checkpoint WHERE tenant = $1 ORDER BY seq DESC LIMIT 1"

// lastCheckpoint returns a zero Checkpoint and seq 0 when there is none.
func lastCheckpoint(row *sql.Row) (c ledger.Checkpoint, seq int64, err error) {
	var root []byte
	var at int64
	err = row.Scan(&seq, &c.Size, &root, &c.Note, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Checkpoint{}, 0, nil
	}
	if err == nil && len(root) != tlog.HashSize {
		err = errors.New("the root of a checkpoint is not 32 bytes long")
	}
	copy(c.Root[:], root)
	c.At = time.UnixMicro(at).UTC()
	return c, seq, err
}
