package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/ledger/ledgertest"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

const logTenant = principal.UID("ten_1")

func sequencerOf(log ledger.Log) *sequencer {
	signer, key := ledgertest.Keys()
	return newSequencer(log, logTenant, signer, key, slog.New(slog.DiscardHandler))
}

// commit appends n entries of run r.
func commit(log *ledgertest.Log, r principal.UID, n int) {
	for range n {
		id := principal.UID(fmt.Sprintf("ent_%s_%d", r, len(log.Records)))
		log.Append(ledger.Entry{ID: id, Kind: ledger.Decision, Actor: "agt_1", Run: r, Time: time.Now()}, "")
	}
}

// sound checks that everything is sequenced and signed, and that it verifies.
func sound(t *testing.T, log *ledgertest.Log) {
	t.Helper()
	_, key := ledgertest.Keys()
	if err := ledger.VerifyHead(t.Context(), log, logTenant, key, 1<<20); err != nil {
		t.Error(err)
	}
	last := map[principal.UID]int64{}
	for i, r := range log.Records {
		last[r.Run]++
		if r.Index != int64(i) || r.RunN != last[r.Run] {
			t.Fatalf("record %d of run %s has index %d and run number %d", i, r.Run, r.Index, r.RunN)
		}
	}
	if n := len(log.Checkpoints); n == 0 || log.Checkpoints[n-1].Size != int64(len(log.Records)) {
		t.Errorf("%d checkpoints; the last does not cover %d entries", n, len(log.Records))
	}
}

// running starts s and returns a function that stops it and waits for its end.
func running(t *testing.T, s *sequencer) func() {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestSequencerKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ledgertest.New(logTenant)
		stop := running(t, sequencerOf(log))
		for i := range 40 { // for 4 seconds
			commit(log, "run_a", 30)
			commit(log, "run_b", i%3)
			time.Sleep(sequenceEvery + time.Millisecond)
			synctest.Wait()
			if size, _ := log.Size(t.Context(), logTenant); size != int64(len(log.Records)) {
				t.Fatalf("%d of %d entries have an index %v after they were committed", size, len(log.Records), sequenceEvery)
			}
			time.Sleep(49 * time.Millisecond)
		}
		time.Sleep(signEvery)
		stop()
		sound(t, log)
		for i, c := range log.Checkpoints[1:] {
			if gap := c.At.Sub(log.Checkpoints[i].At); gap < signEvery || gap > signEvery+2*sequenceEvery {
				t.Errorf("checkpoint %d came %v after the one before", i+1, gap)
			}
		}
	})
}

func TestSequencerSignsNothingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ledgertest.New(logTenant)
		stop := running(t, sequencerOf(log))
		time.Sleep(time.Minute)
		if len(log.Checkpoints) != 0 {
			t.Error("signed an empty log")
		}
		commit(log, "run_a", 1)
		time.Sleep(time.Minute)
		stop()
		if len(log.Checkpoints) != 1 {
			t.Errorf("signed one growth %d times", len(log.Checkpoints))
		}
	})
}

// Flush does not wait for a checkpoint's turn, works beside Run and without it,
// and takes more than one batch.
func TestSequencerFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ledgertest.New(logTenant)
		s := sequencerOf(log)
		stop := running(t, s)
		for range 3 {
			commit(log, "run_a", 5)
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			sound(t, log)
		}
		stop()
		commit(log, "run_a", 2*sequenceBatch+1)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		sound(t, log)
	})
}

// A sequencer that starts on a log another one left half signed goes on there.
func TestSequencerTakesOver(t *testing.T) {
	log := ledgertest.New(logTenant)
	commit(log, "run_a", 300)
	if err := sequencerOf(log).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(log, "run_a", 300)
	s := sequencerOf(log)
	for _, f := range []func(context.Context) error{s.load, func(ctx context.Context) error { _, err := s.sequence(ctx); return err }} {
		if err := f(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	commit(log, "run_a", 300)
	if err := sequencerOf(log).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, log)
	if len(log.Checkpoints) != 2 {
		t.Errorf("%d checkpoints, want 2", len(log.Checkpoints))
	}
}

func TestSequencerOutlivesFailures(t *testing.T) {
	for _, method := range []string{"LastCheckpoint", "Size", "Pending", "RunCounts", "ReadTile", "Sequence", "SaveCheckpoint"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := ledgertest.New(logTenant)
				var failures atomic.Int32
				log.Fail = func(m string) error {
					if m == method && failures.Load() > 0 {
						failures.Add(-1)
						return fault.New(fault.Unavailable, "the disk is busy")
					}
					return nil
				}
				failures.Store(4)
				stop := running(t, sequencerOf(log))
				for range 4 {
					commit(log, "run_a", 7)
					time.Sleep(time.Second)
				}
				time.Sleep(10 * time.Second)
				stop()
				if left := failures.Load(); left != 0 {
					t.Errorf("%d of 4 failures were never met", left)
				}
				sound(t, log)
			})
		})
	}
}

// lossy applies what it is asked, and then says that it failed.
type lossy struct {
	*ledgertest.Log
	lose atomic.Bool
}

func (l *lossy) Sequence(ctx context.Context, tenant principal.UID, from int64, as []ledger.Assigned, tiles []ledger.Tile) error {
	err := l.Log.Sequence(ctx, tenant, from, as, tiles)
	if l.lose.Swap(false) {
		return errors.New("connection lost")
	}
	return err
}

func TestSequencerLearnsWhatBecameOfALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lossy{Log: ledgertest.New(logTenant)}
		stop := running(t, sequencerOf(log))
		for i := range 5 {
			log.lose.Store(i%2 == 0)
			commit(log.Log, "run_a", 300)
			time.Sleep(2 * time.Second)
		}
		stop()
		sound(t, log.Log)
	})
}

// Two sequencers at once are a mistake of operation; each entry still gets one
// place, because the loser of the race reads again.
func TestSequencerYieldsOnConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ledgertest.New(logTenant)
		one, two := sequencerOf(log), sequencerOf(log)
		for range 3 {
			commit(log, "run_a", 10)
			if err := one.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			commit(log, "run_a", 10)
			if err := two.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sound(t, log)
	})
}

func TestSequencerSignsNoChangedPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := ledgertest.New(logTenant)
		s := sequencerOf(log)
		commit(log, "run_a", 10)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		log.Tiles[ledgertest.Coordinate{}][5] ^= 1
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		time.Sleep(time.Minute)
		commit(log, "run_a", 1)
		if err := <-done; !errors.Is(err, ledger.ErrTampered) {
			t.Errorf("Run returned %v", err)
		}
		if err := s.Flush(t.Context()); !errors.Is(err, ledger.ErrTampered) {
			t.Errorf("Flush returned %v", err)
		}
		if len(log.Checkpoints) != 1 {
			t.Error("a checkpoint was signed over a changed tile")
		}
	})
}

// A forged checkpoint in the store is not something to build on.
func TestSequencerRefusesAForeignCheckpoint(t *testing.T) {
	log := ledgertest.New(logTenant)
	commit(log, "run_a", 10)
	if err := sequencerOf(log).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	log.Checkpoints[0].Root = tlog.Hash{1}
	if err := sequencerOf(log).Run(t.Context()); !errors.Is(err, ledger.ErrTampered) {
		t.Errorf("Run returned %v", err)
	}
}
