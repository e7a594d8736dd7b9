package ledgertest

import (
	"context"
	"math"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Origin is the name of the log and of its key, as issuer
// https://ambit.example has it.
const Origin = "ambit.example/ledger"

// Keys returns the log's key, the same in every run: what signs, and the text
// that verifies.
func Keys() (note.Signer, string) {
	private, public, err := note.GenerateKey(strings.NewReader(strings.Repeat("k", 64)), Origin)
	if err != nil {
		panic(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		panic(err)
	}
	return signer, public
}

// Settle gives every pending entry its place and returns the tree, unsigned.
func (l *Log) Settle(ctx context.Context) (tlog.Tree, error) {
	size, err := l.Size(ctx, l.Tenant)
	if err != nil {
		return tlog.Tree{}, err
	}
	pending, err := l.Pending(ctx, l.Tenant, math.MaxInt)
	if err != nil {
		return tlog.Tree{}, err
	}
	var runs []principal.UID
	for _, p := range pending {
		runs = append(runs, p.Run)
	}
	counts, err := l.RunCounts(ctx, l.Tenant, runs)
	if err != nil {
		return tlog.Tree{}, err
	}
	as := ledger.Order(pending, size, counts)
	leaves := make([][]byte, len(as))
	for i, a := range as {
		leaves[i] = ledger.Finish(pending[i].Draft, a.Index, a.RunN)
	}
	tiles, root, err := ledger.Grow(size, leaves, ledger.TileReader(ctx, l, l.Tenant))
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.Tree{N: size + int64(len(as)), Hash: root}, l.Sequence(ctx, l.Tenant, size, as, tiles)
}

// Sign stores a checkpoint over tree, signed with Keys.
func (l *Log) Sign(ctx context.Context, tree tlog.Tree) error {
	signer, _ := Keys()
	signed, err := ledger.SignCheckpoint(Origin, tree.N, tree.Hash, signer)
	if err != nil {
		return err
	}
	return l.SaveCheckpoint(ctx, l.Tenant, ledger.Checkpoint{Size: tree.N, Root: tree.Hash, Note: signed, At: time.Unix(1_790_000_000, 0)})
}

// Seal is Settle and Sign.
func (l *Log) Seal(ctx context.Context) error {
	tree, err := l.Settle(ctx)
	if err != nil {
		return err
	}
	return l.Sign(ctx, tree)
}
