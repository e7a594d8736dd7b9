package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

const (
	// sequenceEvery bounds how long a committed entry waits for its index.
	sequenceEvery = 50 * time.Millisecond
	// signEvery is the least time between two checkpoints of one log.
	signEvery = time.Second
	// sequenceBatch bounds what one transaction sequences, because commits wait
	// for it.
	sequenceBatch = 1024
	// After a failure the sequencer waits, doubling from the first to the last.
	backoffFirst, backoffLast = 100 * time.Millisecond, 5 * time.Second
)

// A sequencer gives the committed entries of one tenant their place: index, run
// counter and position in the Merkle tree, and signs what it grew. There MUST be
// one per tenant.
//
// It carries the last tree it knows from step to step and, before it extends
// it, checks that the stored tiles still yield that tree. So it never puts the
// log's signature under a past that somebody changed.
type sequencer struct {
	log    ledger.Log
	tenant principal.UID
	signer note.Signer
	key    string // verifier key of signer
	logger *slog.Logger

	turn     chan struct{} // holds one token: who has it owns what follows
	anchored bool          // tree descends from the last signed checkpoint
	stale    bool          // the store may be ahead of tree
	tree     tlog.Tree
	signed   int64 // size under the last checkpoint
	signedAt time.Time
}

// newSequencer returns the sequencer of tenant's log, which signs with signer;
// key is the verifier key that belongs to it.
func newSequencer(log ledger.Log, tenant principal.UID, signer note.Signer, key string, logger *slog.Logger) *sequencer {
	s := &sequencer{log: log, tenant: tenant, signer: signer, key: key, logger: logger, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// Run sequences and signs until ctx ends, and then returns nil; what is pending
// then is Flush's. Failures are logged and tried again. It gives up only on a
// ledger that was tampered with, returning an error that wraps
// ledger.ErrTampered: nothing more may be signed.
func (s *sequencer) Run(ctx context.Context) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	backoff := backoffFirst
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		err := s.step(ctx, false)
		switch {
		case err == nil:
			backoff = backoffFirst
			wait.Reset(sequenceEvery)
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ledger.ErrTampered):
			s.logger.ErrorContext(ctx, "ledger stopped", "tenant", s.tenant, "error", err)
			return err
		}
		s.logger.WarnContext(ctx, "sequencing failed", "tenant", s.tenant, "retry_in", backoff, "error", err)
		wait.Reset(backoff)
		backoff = min(2*backoff, backoffLast)
	}
}

// Flush sequences every entry that was durable when it was called and signs a
// checkpoint over them now. It may be called with or without Run, from any
// goroutine. It does not retry, except after a conflict.
func (s *sequencer) Flush(ctx context.Context) error {
	err := s.step(ctx, true)
	if fault.KindOf(err) == fault.Conflict {
		err = s.step(ctx, true)
	}
	return err
}

// step sequences what is pending and signs when it is time to, or now.
func (s *sequencer) step(ctx context.Context, now bool) error {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	for {
		n, err := s.sequence(ctx)
		if err != nil {
			return err
		}
		if n < sequenceBatch { // nothing was left when it was read
			break
		}
	}
	if s.tree.N == s.signed || !now && time.Since(s.signedAt) < signEvery {
		return nil
	}
	return s.sign(ctx)
}

// load makes tree the present one, if the last step did not leave it so.
func (s *sequencer) load(ctx context.Context) error {
	if !s.anchored {
		tree, err := ledger.Anchor(ctx, s.log, s.tenant, s.key)
		if err != nil {
			return err
		}
		s.tree, s.signed, s.anchored, s.stale = tree, tree.N, true, true
	}
	if !s.stale {
		return nil
	}
	tree, err := ledger.Present(ctx, s.log, s.tenant, s.tree)
	if err != nil {
		return err
	}
	s.tree, s.stale = tree, false
	return nil
}

// sequence places the oldest pending entries and returns how many they were.
func (s *sequencer) sequence(ctx context.Context) (int, error) {
	pending, err := s.log.Pending(ctx, s.tenant, sequenceBatch)
	if err != nil || len(pending) == 0 {
		return 0, err
	}
	counts, err := s.log.RunCounts(ctx, s.tenant, runs(pending))
	if err != nil {
		return 0, err
	}
	as := ledger.Order(pending, s.tree.N, counts)
	leaves := make([][]byte, len(as))
	for i, a := range as {
		leaves[i] = ledger.Finish(pending[i].Draft, a.Index, a.RunN)
	}
	read := ledger.TileReader(ctx, s.log, s.tenant)
	if err := ledger.Holds(s.tree, read); err != nil {
		return 0, err
	}
	tiles, root, err := ledger.Grow(s.tree.N, leaves, read)
	if err != nil {
		return 0, err
	}
	// Should the answer get lost, or somebody else have been first, the store
	// says how far it is.
	s.stale = true
	if err := s.log.Sequence(ctx, s.tenant, s.tree.N, as, tiles); err != nil {
		return 0, err
	}
	s.tree, s.stale = tlog.Tree{N: s.tree.N + int64(len(as)), Hash: root}, false
	return len(as), nil
}

func runs(pending []ledger.Pending) []principal.UID {
	var ids []principal.UID
	seen := make(map[principal.UID]bool)
	for _, p := range pending {
		if p.Run != "" && !seen[p.Run] {
			seen[p.Run] = true
			ids = append(ids, p.Run)
		}
	}
	return ids
}

// sign stores a checkpoint over tree.
func (s *sequencer) sign(ctx context.Context) error {
	signed, err := ledger.SignCheckpoint(s.signer.Name(), s.tree.N, s.tree.Hash, s.signer)
	if err != nil {
		return err
	}
	at := time.Now()
	err = s.log.SaveCheckpoint(ctx, s.tenant, ledger.Checkpoint{Size: s.tree.N, Root: s.tree.Hash, Note: signed, At: at})
	if err != nil {
		return err
	}
	s.signed, s.signedAt = s.tree.N, at
	return nil
}
