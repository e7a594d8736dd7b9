package ledger

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// Prove returns entries as a bundle holds them, each with the proof of its
// inclusion in the tree of cp, which must cover them all. Every proof is checked
// before it is given out: an entry that is not what was signed is an error that
// wraps ErrTampered.
func Prove(ctx context.Context, log Log, tenant principal.UID, cp Checkpoint, entries []Stored) ([]proof.Entry, error) {
	read := &tiles{ctx: ctx, log: log, tenant: tenant, seen: map[tlog.Tile][]byte{}}
	proved := make([]proof.Entry, len(entries))
	for i, s := range entries {
		index := s.Leaf.Index
		if index < 0 || index >= cp.Size {
			return nil, fault.New(fault.Unavailable, "entry %s has no place under the checkpoint at size %d yet", s.Leaf.ID, cp.Size).
				WithHint("retry in a second")
		}
		path, err := tlog.ProveRecord(cp.Size, index, read)
		if err != nil {
			return nil, read.blame(err, "entry %d of ledger %s cannot be proved", index, tenant)
		}
		if err := tlog.CheckRecord(path, cp.Size, cp.Root, index, tlog.RecordHash(s.Leaf.Bytes())); err != nil {
			return nil, broken("entry %d of ledger %s is not the one that the checkpoint at size %d covers: %v", index, tenant, cp.Size, err)
		}
		proved[i] = proof.Entry{Leaf: s.Leaf, Salt: s.Salt, Proof: path}
		if len(s.Payload) > 0 { // an erased one is absent, not empty
			proved[i].Payload = s.Payload
		}
	}
	return proved, nil
}
