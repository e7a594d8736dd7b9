package ledger

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// A Stored is one entry as the floor keeps it. Before it is sequenced its leaf
// has Index -1 and no RunN.
type Stored struct {
	Leaf    proof.Leaf
	Payload json.RawMessage
	Salt    [32]byte
}

// A Filter selects entries. Zero members select everything.
type Filter struct {
	Mission principal.UID
	Entry   principal.UID
	Kind    Kind
	After   int64 // index, exclusive, when Sequenced
	Limit   int   // 0 means 10,000
}

// A Pending is a committed entry that has no index yet.
type Pending struct {
	N     int64
	Draft []byte // canonical leaf without index and runN
	Run   principal.UID
}

// An Assigned gives a pending entry its place.
type Assigned struct {
	N, Index, RunN int64
}

// A Tile is one tile of height 8 of the Merkle tree (C2SP tlog-tiles).
type Tile struct {
	Level int
	N     int64
	Width int // 1 … 256
	Data  []byte
}

// A Checkpoint is a signed tree head (C2SP tlog-checkpoint in a signed note).
type Checkpoint struct {
	Size int64
	Root tlog.Hash
	Note []byte
	At   time.Time
}

// A Log is what sequencer, export and history need of the floor. All methods
// are safe for concurrent use; Sequence is called by one sequencer at a time.
type Log interface {
	// Entries returns entries in index order, unsequenced ones last in n order.
	Entries(ctx context.Context, tenant principal.UID, f Filter) ([]Stored, error)
	// Pending returns the oldest unsequenced entries in n order.
	Pending(ctx context.Context, tenant principal.UID, limit int) ([]Pending, error)
	// RunCounts returns the last runN assigned to each run, 0 for a new one.
	RunCounts(ctx context.Context, tenant principal.UID, runs []principal.UID) (map[principal.UID]int64, error)
	// Sequence stores assignments and the tiles that they changed, atomically.
	// It fails with fault.Conflict unless from is the present size.
	Sequence(ctx context.Context, tenant principal.UID, from int64, as []Assigned, tiles []Tile) error
	// Size returns the number of sequenced entries.
	Size(ctx context.Context, tenant principal.UID) (int64, error)
	// ReadTile returns the widest stored tile at (level, n), at least width wide.
	ReadTile(ctx context.Context, tenant principal.UID, level int, n int64, width int) ([]byte, error)
	// SaveCheckpoint appends; LastCheckpoint returns the newest, or a zero one.
	SaveCheckpoint(ctx context.Context, tenant principal.UID, c Checkpoint) error
	LastCheckpoint(ctx context.Context, tenant principal.UID) (Checkpoint, error)
}
