package ledger

import (
	"bytes"
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// ErrTampered is wrapped by the fault, of kind Internal, that says how a stored
// ledger contradicts what was signed or chained. It does not pass by waiting.
var ErrTampered = tampered{}

type tampered struct{}

func (tampered) Error() string { return "the stored ledger is not the one that was written" }

func broken(format string, args ...any) error {
	return fault.Wrap(fault.Internal, ErrTampered, format, args...)
}

// Holds checks that the tiles behind read yield tree, and wraps ErrTampered when
// they do not.
func Holds(tree tlog.Tree, read tlog.HashReader) error {
	root, err := tlog.TreeHash(tree.N, read)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return broken("the stored tiles yield root %s at size %d, want %s: a tile was changed", root, tree.N, tree.Hash)
	}
	return nil
}

// Present returns the tree of all sequenced entries, after checking that it is
// still as long as since, an earlier tree of the same log, and still yields it.
func Present(ctx context.Context, log Log, tenant principal.UID, since tlog.Tree) (tlog.Tree, error) {
	size, err := log.Size(ctx, tenant)
	if err != nil {
		return tlog.Tree{}, err
	}
	if size < since.N {
		return tlog.Tree{}, broken("ledger %s holds %d entries, but held %d before: entries are missing", tenant, size, since.N)
	}
	read := TileReader(ctx, log, tenant)
	if err := Holds(since, read); err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.TreeHash(size, read)
	return tlog.Tree{N: size, Hash: root}, err
}

// Anchor returns the tree of log's last checkpoint, after checking that it was
// signed with key, a note verifier key whose name is the log's. A log without a
// checkpoint has the empty tree.
func Anchor(ctx context.Context, log Log, tenant principal.UID, key string) (tlog.Tree, error) {
	cp, err := log.LastCheckpoint(ctx, tenant)
	if err != nil {
		return tlog.Tree{}, err
	}
	if cp.Size == 0 && len(cp.Note) == 0 {
		root, err := tlog.TreeHash(0, nil)
		return tlog.Tree{Hash: root}, err
	}
	signed, err := proof.OpenCheckpoint(cp.Note, key)
	if err != nil {
		return tlog.Tree{}, broken("the last checkpoint of ledger %s does not verify: %v", tenant, err)
	}
	if signed.Size != cp.Size || signed.Root != cp.Root {
		return tlog.Tree{}, broken("the last checkpoint of ledger %s is stored at size %d, root %s, but signed at size %d, root %s",
			tenant, cp.Size, cp.Root, signed.Size, signed.Root)
	}
	return tlog.Tree{N: cp.Size, Hash: cp.Root}, nil
}

// VerifyHead is what a server checks before it trusts a stored log: its last
// checkpoint (Anchor), that the tiles still yield it (Present), then every entry
// since the checkpoint and at least the last window of them. Each must have the
// payload that its leaf commits to, stand at its index, hash to what the tiles
// hold there, and name the entry before it of its writer; entries that have no
// index yet are held to the same chain. The error says which entry breaks what,
// and wraps ErrTampered.
//
// Its cost grows with the window and with what came after the checkpoint, not
// with the log.
func VerifyHead(ctx context.Context, log Log, tenant principal.UID, key string, window int64) error {
	tree, err := Anchor(ctx, log, tenant, key)
	if err != nil {
		return err
	}
	present, err := Present(ctx, log, tenant, tree)
	if err != nil {
		return err
	}
	from := max(0, min(tree.N, present.N-window))
	leaves, err := chained(ctx, log, tenant, from, present.N)
	if err != nil {
		return err
	}
	store := &tiles{ctx: ctx, log: log, tenant: tenant, seen: map[tlog.Tile][]byte{}}
	signed := tlog.TileHashReader(tree, store) // proves every hash it reads against the root
	for i := from; i < tree.N; i++ {
		want, err := signed.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		if err != nil {
			return store.blame(err, "tiles around entry %d of ledger %s", i, tenant)
		}
		if tlog.RecordHash(leaves[i-from]) != want[0] {
			return broken("entry %d of ledger %s is not the one that was signed: its leaf was changed", i, tenant)
		}
	}
	grown, _, err := Grow(tree.N, leaves[tree.N-from:], signed)
	if err != nil {
		return store.blame(err, "tiles at size %d of ledger %s", tree.N, tenant)
	}
	for _, t := range grown {
		stored, err := log.ReadTile(ctx, tenant, t.Level, t.N, t.Width)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(stored, t.Data) {
			return broken("tile %d/%d of ledger %s does not hold the entries after index %d: a leaf or the tile was changed",
				t.Level, t.N, tenant, tree.N-1)
		}
	}
	return nil
}

// chained returns the bytes of the leaves [from, size), after checking their
// indexes and, with the unsequenced entries behind them, each writer's chain.
func chained(ctx context.Context, log Log, tenant principal.UID, from, size int64) ([][]byte, error) {
	leaves := make([][]byte, 0, size-from)
	last := make(map[string]link)
	for after := from - 1; ; {
		page, err := log.Entries(ctx, tenant, Filter{After: max(0, after)})
		if err != nil {
			return nil, err
		}
		end, open := after, false
		for _, s := range page {
			open = open || s.Leaf.Index < 0
			if s.Leaf.Index >= 0 && s.Leaf.Index <= after {
				continue // Filter's After 0 excludes nothing
			}
			if s.Leaf.Index >= 0 {
				if want := from + int64(len(leaves)); s.Leaf.Index != want {
					return nil, broken("ledger %s has entry %d where entry %d belongs: an entry is missing", tenant, s.Leaf.Index, want)
				}
				end = s.Leaf.Index
			}
			// An erased payload is no longer there to compare.
			if len(s.Payload) > 0 && proof.Commit(s.Salt, s.Payload) != s.Leaf.Payload {
				return nil, broken("entry %s of ledger %s is not what its leaf commits to: its payload was changed", s.Leaf.ID, tenant)
			}
			leaf := s.Leaf.Bytes()
			if err := follow(last, s, leaf); err != nil {
				return nil, err
			}
			if s.Leaf.Index >= 0 && s.Leaf.Index < size {
				leaves = append(leaves, leaf)
			}
		}
		if end == after || open {
			break
		}
		after = end
	}
	if want := size - from; int64(len(leaves)) != want {
		return nil, broken("ledger %s has %d of its last %d entries: entries are missing", tenant, len(leaves), want)
	}
	return leaves, nil
}

// A link is the end of one writer's chain.
type link struct {
	boot, n int64
	hash    string
}

// follow checks that s comes right after what its writer wrote last, and
// advances. A chain that is entered in the middle is taken from there on; a new
// start of a writer continues its chain.
func follow(last map[string]link, s Stored, leaf []byte) error {
	l := s.Leaf
	switch prev, known := last[l.Writer]; {
	case !known:
	case l.Boot < prev.boot || l.N != prev.n+1:
		return broken("writer %s wrote entry %s as number %d of start %d after number %d of start %d: an entry is missing or out of order",
			l.Writer, l.ID, l.N, l.Boot, prev.n, prev.boot)
	case l.Prev != prev.hash:
		return broken("entry %s of writer %s does not name the entry before it, number %d: one of the two was changed", l.ID, l.Writer, prev.n)
	}
	last[l.Writer] = link{l.Boot, l.N, proof.Hash(Unfinish(leaf))}
	return nil
}
