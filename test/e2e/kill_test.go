package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the store's own driver, to tamper with what it keeps

	"github.com/ambit-iam/ambit/proof"
)

// TestKill ends the server with SIGKILL at random moments while agents act, and
// then compares three accounts of what happened: what the upstream did, what the
// agents were told, and what the evidence says. Whatever was done or acknowledged
// must have been decided first, on the record, once.
func TestKill(t *testing.T) {
	calls, kills := int64(1000), 20
	if long() {
		calls, kills = 5000, 100
	}
	j, did := newJournal(t)
	mission := j.take(mandate{agent: "writer", key: j.key, bearer: true}, "journal")
	acknowledged := &tally{m: map[string]int{}}
	var begun atomic.Int64
	var workers sync.WaitGroup
	defer workers.Wait()
	for range 8 {
		workers.Go(func() {
			for n := begun.Add(1); n <= calls && !t.Failed(); n = begun.Add(1) {
				if j.patiently(mission, fmt.Sprintf("call-%06d", n)) {
					acknowledged.add(fmt.Sprintf("call-%06d", n))
				}
			}
		})
	}
	for _, at := range moments(kills, calls) {
		for begun.Load() < at && !t.Failed() {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		j.kill()
		j.start() // which verifies the head of the ledger, and refuses a broken one
	}
	workers.Wait()
	j.compare(mission.ID(), did, acknowledged)
	t.Logf("%d calls, %d effects, %d acknowledged, %d kills; the slowest start took %v", calls, did.count(), acknowledged.count(), kills, j.slowest)
	if int64(acknowledged.count()) < calls/2 {
		t.Errorf("only %d of %d calls were acknowledged: there was little to compare", acknowledged.count(), calls)
	}
	j.refusesChangedPast()
}

// patiently makes a call, waiting for a server to make it to, and reports whether
// it was acknowledged. A call whose fate is not known is not repeated: it would
// be done twice, rightly.
func (j *journal) patiently(m taken, id string) bool {
	for !j.t.Failed() {
		answer, err := j.append(m, id)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // nothing was sent
			time.Sleep(5 * time.Millisecond)
			continue
		case err == nil && answer.Error != nil:
			j.t.Errorf("%s was refused: %s", id, answer.Error.Message)
		}
		return err == nil
	}
	return false
}

// compare holds what was done and what was acknowledged against the evidence.
func (j *journal) compare(mission string, did, acknowledged *tally) {
	j.t.Helper()
	decided := map[string]int{}
	for _, e := range j.bundle(mission).Entries {
		if id, ok := allowed(e); ok {
			decided[id]++
		} else if e.Leaf.Kind == "decision" {
			j.t.Errorf("entry %d is a %s of %s", e.Leaf.Index, e.Leaf.Decision, e.Leaf.Action)
		}
	}
	for id, n := range did.m {
		switch {
		case n != 1:
			j.t.Errorf("%s was done %d times", id, n)
		case decided[id] != 1:
			j.t.Errorf("%s was done and has %d decisions", id, decided[id])
		}
	}
	for id := range acknowledged.m {
		if decided[id] != 1 || did.m[id] != 1 {
			j.t.Errorf("%s was acknowledged, was done %d times and has %d decisions", id, did.m[id], decided[id])
		}
	}
}

// allowed returns the argument of the call that an entry allows.
func allowed(e proof.Entry) (string, bool) {
	var p struct{ Arguments struct{ ID string } }
	if e.Leaf.Kind != "decision" || e.Leaf.Decision != "allow" || json.Unmarshal(e.Payload, &p) != nil {
		return "", false
	}
	return p.Arguments.ID, p.Arguments.ID != ""
}

// moments returns n random counts of calls, in order, at which the server dies.
func moments(n int, calls int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = rand.Int64N(calls - 8)
	}
	slices.Sort(out)
	return out
}

// refusesChangedPast changes the decision of one entry of the stored ledger, and
// has the server refuse to go on from there.
func (w *world) refusesChangedPast() {
	w.t.Helper()
	w.kill()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "data", "ambit.db"))
	must(w.t, err)
	defer db.Close()
	res, err := db.ExecContext(w.t.Context(), `UPDATE ledger_entry SET draft = CAST(replace(CAST(draft AS TEXT), '"allow"', '"allox"') AS BLOB)
		WHERE n = (SELECT max(n) FROM ledger_entry WHERE kind = 'decision')`)
	must(w.t, err)
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		w.t.Fatalf("changed %d entries, %v", n, err)
	}
	must(w.t, db.Close())
	if err := w.launch(); err == nil {
		w.t.Error("the server serves from a ledger that was changed")
	} else if !strings.Contains(err.Error(), "entry") {
		w.t.Errorf("the server does not say what is wrong: %v", err)
	}
}
