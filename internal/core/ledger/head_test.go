package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/ledger/ledgertest"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

const tenant = principal.UID("ten_1")

// write commits entries numbered [from, to) of three runs.
func write(log *ledgertest.Log, from, to int) {
	for i := from; i < to; i++ {
		e := typical()
		e.ID = principal.UID(fmt.Sprintf("ent_%d", i))
		e.Run = principal.UID(fmt.Sprintf("run_%d", i%3))
		log.Append(e, "")
	}
}

func settle(t testing.TB, log *ledgertest.Log) {
	t.Helper()
	if _, err := log.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func seal(t testing.TB, log *ledgertest.Log) {
	t.Helper()
	if err := log.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func filled(t testing.TB, n int) *ledgertest.Log {
	log := ledgertest.New(tenant)
	write(log, 0, n)
	settle(t, log)
	return log
}

// story is a log with 600 signed entries, 40 sequenced after the checkpoint and
// 3 that have no index yet.
func story(t testing.TB) *ledgertest.Log {
	log := ledgertest.New(tenant)
	write(log, 0, 600)
	seal(t, log)
	write(log, 600, 640)
	settle(t, log)
	write(log, 640, 643)
	return log
}

func TestVerifyHeadAcceptsWhatWasWritten(t *testing.T) {
	_, key := ledgertest.Keys()
	unsigned := filled(t, 5)
	onlySigned := ledgertest.New(tenant)
	write(onlySigned, 0, 256)
	seal(t, onlySigned)
	restarted := story(t)
	restarted.Boot = 2
	write(restarted, 643, 645)
	for name, log := range map[string]*ledgertest.Log{
		"empty": ledgertest.New(tenant), "never signed": unsigned, "all signed": onlySigned,
		"signed, sequenced and pending": story(t), "restarted writer": restarted,
	} {
		for _, window := range []int64{0, 1, 39, 40, 41, 300, 1 << 20} {
			if err := ledger.VerifyHead(context.Background(), log, tenant, key, window); err != nil {
				t.Errorf("%s, window %d: %v", name, window, err)
			}
		}
	}
}

func TestVerifyHeadNamesWhatIsWrong(t *testing.T) {
	_, key := ledgertest.Keys()
	edit := func(i int, old, new string) func(*ledgertest.Log) {
		return func(l *ledgertest.Log) {
			r := &l.Records[i]
			r.Draft = bytes.Replace(r.Draft, []byte(old), []byte(new), 1)
		}
	}
	flip := func(level int, n int64, at int) func(*ledgertest.Log) {
		return func(l *ledgertest.Log) { l.Tiles[ledgertest.Coordinate{Level: level, N: n}][at] ^= 1 }
	}
	for _, c := range []struct {
		name   string
		tamper func(*ledgertest.Log)
		want   string
	}{
		{"a signed leaf", edit(590, `"allow"`, `"denyy"`), "entry ent_591 of writer w1 does not name the entry before it, number 591"},
		{"the newest signed leaf", edit(599, `"allow"`, `"denyy"`), "does not name the entry before it, number 600"},
		{"a leaf after the checkpoint", edit(639, `"allow"`, `"denyy"`), "does not name the entry before it, number 640"},
		{"the newest pending entry's prev", edit(642, `"prev":"`, `"prev":"A`), "entry ent_642 of writer w1 does not name"},
		{"a payload", func(l *ledgertest.Log) { l.Records[600].Payload = json.RawMessage(`{}`) }, "entry ent_600 of ledger ten_1 is not what its leaf commits to"},
		{"a leaf's run counter", func(l *ledgertest.Log) { l.Records[630].RunN++ }, "does not hold the entries after index 599"},
		{"a signed leaf's run counter", func(l *ledgertest.Log) { l.Records[580].RunN++ }, "entry 580 of ledger ten_1 is not the one that was signed"},
		{"a signed leaf tile", flip(0, 2, 32*80), "a tile was changed"},
		{"a signed parent tile", flip(1, 0, 0), "a tile was changed"},
		{"a full leaf tile below its parent", flip(0, 1, 32*250), "tiles around entry 500 of ledger ten_1"},
		{"a tile after the checkpoint", flip(0, 2, 32*120), "a leaf or the tile was changed"},
		{"a missing entry", func(l *ledgertest.Log) { l.Records = append(l.Records[:620:620], l.Records[621:]...) }, "entry 621 where entry 620 belongs"},
		{"a missing pending entry", func(l *ledgertest.Log) { l.Records = append(l.Records[:641:641], l.Records[642:]...) },
			"entry ent_642 as number 643 of start 1 after number 641"},
		{"the checkpoint's size", func(l *ledgertest.Log) { l.Checkpoints[0].Size-- }, "stored at size 599"},
		{"the checkpoint's note", func(l *ledgertest.Log) { l.Checkpoints[0].Note[0] ^= 1 }, "does not verify"},
		{"no note", func(l *ledgertest.Log) { l.Checkpoints[0].Note = nil }, "does not verify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := story(t)
			c.tamper(log)
			err := ledger.VerifyHead(context.Background(), log, tenant, key, 100+40)
			if !errors.Is(err, ledger.ErrTampered) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrTampered with %q", err, c.want)
			}
		})
	}
}

func TestVerifyHeadMissesNoTruncation(t *testing.T) {
	_, key := ledgertest.Keys()
	long, short := story(t), filled(t, 300)
	short.Checkpoints = long.Checkpoints
	err := ledger.VerifyHead(context.Background(), short, tenant, key, 10)
	if !errors.Is(err, ledger.ErrTampered) || !strings.Contains(err.Error(), "entries are missing") {
		t.Errorf("got %v", err)
	}
}

// A store that cannot be read now is not a store that was tampered with.
func TestVerifyHeadPassesOnWhatTheStoreSays(t *testing.T) {
	_, key := ledgertest.Keys()
	down := errors.New("disk is away")
	for _, method := range []string{"Entries", "Size", "LastCheckpoint", "ReadTile"} {
		log := story(t)
		log.Fail = func(m string) error {
			if m == method {
				return down
			}
			return nil
		}
		err := ledger.VerifyHead(context.Background(), log, tenant, key, 10)
		if !errors.Is(err, down) || errors.Is(err, ledger.ErrTampered) {
			t.Errorf("%s: got %v", method, err)
		}
	}
}

// Only the log's own name and key make a checkpoint that proof opens.
func TestSignCheckpoint(t *testing.T) {
	signer, key := ledgertest.Keys()
	root := tlog.RecordHash([]byte("x"))
	signed, err := ledger.SignCheckpoint(ledgertest.Origin, 7, root, signer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := proof.OpenCheckpoint(signed, key)
	if want := (proof.Checkpoint{Origin: ledgertest.Origin, Size: 7, Root: root}); err != nil || got != want {
		t.Errorf("opened %v, %v", got, err)
	}
	if _, err := ledger.SignCheckpoint("another/ledger", 7, root, signer); err == nil {
		t.Error("signed under another log's name")
	}
	if _, err := ledger.SignCheckpoint(ledgertest.Origin, -1, root, signer); err == nil {
		t.Error("signed a negative size")
	}
}

func TestProve(t *testing.T) {
	log := story(t)
	_, key := ledgertest.Keys()
	ctx := context.Background()
	cp, _ := log.LastCheckpoint(ctx, tenant)
	all, _ := log.Entries(ctx, tenant, ledger.Filter{})
	proved, err := ledger.Prove(ctx, log, tenant, cp, all[:cp.Size])
	if err != nil {
		t.Fatal(err)
	}
	signed, err := proof.OpenCheckpoint(cp.Note, key)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range proved {
		if err := tlog.CheckRecord(e.Proof, signed.Size, signed.Root, int64(i), tlog.RecordHash(e.Leaf.Bytes())); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	for _, beyond := range []int64{cp.Size, int64(len(all)) - 1} {
		if _, err := ledger.Prove(ctx, log, tenant, cp, all[beyond:beyond+1]); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("entry %d, which the checkpoint does not cover: got %v", beyond, err)
		}
	}
	all[9].Leaf.Action = "other"
	if _, err := ledger.Prove(ctx, log, tenant, cp, all[9:10]); !errors.Is(err, ledger.ErrTampered) {
		t.Errorf("a changed leaf: got %v", err)
	}
}
