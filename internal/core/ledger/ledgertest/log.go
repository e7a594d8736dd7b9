package ledgertest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Record is one stored entry: its draft and the place it was given.
type Record struct {
	N, Index, RunN int64 // Index is -1 until it is sequenced
	Draft          []byte
	Run            principal.UID
	Payload        json.RawMessage
	Salt           [32]byte
}

// A Coordinate names a tile.
type Coordinate struct {
	Level int
	N     int64
}

// A Log is one tenant's ledger, written by one writer. Make it with New. Its
// methods are safe for concurrent use; its fields are for a test that tampers
// while nothing else runs.
type Log struct {
	Tenant      principal.UID
	Writer      string
	Boot        int64
	Records     []Record // in n order
	Tiles       map[Coordinate][]byte
	Checkpoints []ledger.Checkpoint
	// Fail, when set, is asked before every method with the method's name; what
	// it returns is the method's answer.
	Fail func(method string) error

	mu        sync.Mutex
	sequenced int64
	prev      string
	counts    map[principal.UID]int64
}

// New returns an empty log.
func New(tenant principal.UID) *Log {
	return &Log{Tenant: tenant, Writer: "w1", Boot: 1,
		Tiles: map[Coordinate][]byte{}, counts: map[principal.UID]int64{}}
}

// Append commits e as the writer's next entry.
func (l *Log) Append(e ledger.Entry, rowsDigest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.Records)) + 1
	draft, hash := ledger.Draft(e, string(l.Tenant), l.Writer, l.Boot, n, l.prev, rowsDigest)
	l.prev = hash
	l.Records = append(l.Records, Record{N: n, Index: -1, Draft: draft, Run: e.Run, Payload: e.Payload, Salt: e.Salt})
}

// begin locks l and answers for a failing or foreign call.
func (l *Log) begin(method string, tenant principal.UID) error {
	l.mu.Lock()
	if tenant != l.Tenant {
		return fault.New(fault.NotFound, "no tenant %s", tenant)
	}
	if l.Fail != nil {
		return l.Fail(method)
	}
	return nil
}

// Entries implements ledger.Log.
func (l *Log) Entries(_ context.Context, tenant principal.UID, f ledger.Filter) ([]ledger.Stored, error) {
	err := l.begin("Entries", tenant)
	defer l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	limit := f.Limit
	if limit == 0 {
		limit = 10_000
	}
	var found []ledger.Stored
	for _, r := range l.Records {
		if len(found) == limit {
			break
		}
		if f.After != 0 && r.Index >= 0 && r.Index <= f.After {
			continue
		}
		var s ledger.Stored
		if err := json.Unmarshal(ledger.Finish(r.Draft, r.Index, r.RunN), &s.Leaf); err != nil {
			return nil, fmt.Errorf("record %d: %w", r.N, err)
		}
		s.Payload, s.Salt = r.Payload, r.Salt
		switch {
		case f.Mission != "" && s.Leaf.Mission != string(f.Mission):
		case f.Entry != "" && s.Leaf.ID != string(f.Entry):
		case f.Kind != "" && s.Leaf.Kind != string(f.Kind):
		default:
			found = append(found, s)
		}
	}
	return found, nil
}

// Pending implements ledger.Log.
func (l *Log) Pending(_ context.Context, tenant principal.UID, limit int) ([]ledger.Pending, error) {
	err := l.begin("Pending", tenant)
	defer l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var ps []ledger.Pending
	for _, r := range l.Records[l.sequenced:] {
		if len(ps) < limit {
			ps = append(ps, ledger.Pending{N: r.N, Draft: r.Draft, Run: r.Run})
		}
	}
	return ps, nil
}

// RunCounts implements ledger.Log.
func (l *Log) RunCounts(_ context.Context, tenant principal.UID, runs []principal.UID) (map[principal.UID]int64, error) {
	err := l.begin("RunCounts", tenant)
	defer l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	counts := make(map[principal.UID]int64, len(runs))
	for _, r := range runs {
		counts[r] = l.counts[r]
	}
	return counts, nil
}

// Sequence implements ledger.Log.
func (l *Log) Sequence(_ context.Context, tenant principal.UID, from int64, as []ledger.Assigned, tiles []ledger.Tile) error {
	err := l.begin("Sequence", tenant)
	defer l.mu.Unlock()
	if err != nil {
		return err
	}
	if from != l.sequenced {
		return fault.New(fault.Conflict, "the log has %d entries, not %d", l.sequenced, from)
	}
	for i, a := range as {
		r := &l.Records[l.sequenced]
		if a.N != r.N || a.Index != from+int64(i) || r.Run != "" && a.RunN != l.counts[r.Run]+1 || r.Run == "" && a.RunN != 0 {
			return fmt.Errorf("assignment %+v does not fit record %+v", a, *r)
		}
		r.Index, r.RunN = a.Index, a.RunN
		if r.Run != "" {
			l.counts[r.Run] = a.RunN
		}
		l.sequenced++
	}
	for _, t := range tiles {
		l.Tiles[Coordinate{t.Level, t.N}] = append([]byte(nil), t.Data...)
	}
	return nil
}

// Size implements ledger.Log.
func (l *Log) Size(_ context.Context, tenant principal.UID) (int64, error) {
	err := l.begin("Size", tenant)
	defer l.mu.Unlock()
	return l.sequenced, err
}

// ReadTile implements ledger.Log.
func (l *Log) ReadTile(_ context.Context, tenant principal.UID, level int, n int64, width int) ([]byte, error) {
	err := l.begin("ReadTile", tenant)
	defer l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	data := l.Tiles[Coordinate{level, n}]
	if len(data) < width*32 {
		return nil, fault.New(fault.NotFound, "no tile %d/%d as wide as %d", level, n, width)
	}
	return append([]byte(nil), data...), nil
}

// SaveCheckpoint implements ledger.Log.
func (l *Log) SaveCheckpoint(_ context.Context, tenant principal.UID, c ledger.Checkpoint) error {
	err := l.begin("SaveCheckpoint", tenant)
	defer l.mu.Unlock()
	if err == nil {
		l.Checkpoints = append(l.Checkpoints, c)
	}
	return err
}

// LastCheckpoint implements ledger.Log.
func (l *Log) LastCheckpoint(_ context.Context, tenant principal.UID) (ledger.Checkpoint, error) {
	err := l.begin("LastCheckpoint", tenant)
	defer l.mu.Unlock()
	if err != nil || len(l.Checkpoints) == 0 {
		return ledger.Checkpoint{}, err
	}
	return l.Checkpoints[len(l.Checkpoints)-1], nil
}
