//go:build unix

package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
	"github.com/ambit-iam/ambit/proof"
)

// TestKill kills a writing process at random moments. Everything that it had
// acknowledged must be there when the store opens again, with the charges, rows
// and revisions that it came with, and the writer's chain must be whole.
func TestKill(t *testing.T) {
	if os.Getenv("AMBIT_KILL_DIR") != "" {
		killChild(t)
		return
	}
	dir, tenant := t.TempDir(), minter().New(principal.Tenant)
	acked, kills := map[string]bool{}, 20
	for i := range kills {
		killOnce(t, dir, tenant, time.Duration(20+i*7)*time.Millisecond, acked)
	}
	s, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	es, err := s.Entries(t.Context(), tenant, ledger.Filter{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	prev, boots, changes := "", map[int64]bool{}, int64(0)
	for i, e := range es {
		delete(acked, e.Leaf.ID)
		boots[e.Leaf.Boot] = true
		if e.Leaf.Kind == string(ledger.Change) {
			changes++
		}
		if e.Leaf.N != int64(i+1) || e.Leaf.Prev != prev {
			t.Fatalf("entry %d has n=%d and prev %q, want %q", i, e.Leaf.N, e.Leaf.Prev, prev)
		}
		prev = proof.Hash(ledger.Unfinish(e.Leaf.Bytes()))
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged entries are lost", len(acked))
	}
	_, rows, err := s.Load(t.Context(), tenant)
	if err != nil || int64(len(rows)) != changes {
		t.Errorf("%d rows of %d changes, %v", len(rows), changes, err)
	}
	heads, err := s.Heads(t.Context(), tenant, tenant)
	if err != nil || heads[tenant].Calls != int64(len(es)) {
		t.Errorf("%d calls are counted, %d entries are in the ledger, %v", heads[tenant].Calls, len(es), err)
	}
	t.Logf("%d kills, %d entries of %d starts", kills, len(es), len(boots))
}

// killOnce starts a writer, adds what it acknowledges to acked, and kills it
// after a while of writing.
func killOnce(t *testing.T, dir string, tenant principal.UID, after time.Duration, acked map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "AMBIT_KILL_DIR="+dir, "AMBIT_KILL_TENANT="+string(tenant))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, n := bufio.NewScanner(out), 0
	for ; lines.Scan(); n++ {
		if n == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have failed by itself; then n says so
		}
		acked[strings.TrimSpace(lines.Text())] = true
	}
	_ = cmd.Wait() // killed
	if n == 0 {
		t.Fatal("the writer acknowledged nothing")
	}
}

// killChild writes until it is killed and prints the id of every entry that the
// store acknowledged. A line is one write, so that none is cut.
func killChild(t *testing.T) {
	ctx, mint := context.Background(), minter()
	tenant := principal.UID(os.Getenv("AMBIT_KILL_TENANT"))
	s, err := store.Open(ctx, store.Options{Dir: os.Getenv("AMBIT_KILL_DIR")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Init(ctx, tenant, "https://ambit.example"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for {
				c := ledger.Commit{Tenant: tenant, At: -1,
					Charges: []ledger.Charge{{Head: tenant, Limit: ledger.Unlimited(), Calls: 1}},
					Entry:   ledger.Entry{ID: mint.New(principal.Entry), Time: time.Now(), Kind: ledger.Decision}}
				if i == 0 {
					c.Entry.Kind, c.Rows = ledger.Change, []ledger.Row{{Kind: "user", Key: string(c.Entry.ID), Body: []byte(`{}`)}}
				}
				if _, err := s.Commit(ctx, c); err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintln(os.Stdout, c.Entry.ID)
			}
		})
	}
	wg.Wait()
}
