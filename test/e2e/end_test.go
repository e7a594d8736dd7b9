package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLimit makes more calls at once than a mission has left: exactly as many as
// it has are done (golden case 34).
func TestLimit(t *testing.T) {
	j, did := newJournal(t)
	mission := j.take(mandate{agent: "writer", limits: map[string]any{"calls": 40}, key: j.key, bearer: true}, "journal")
	var refused atomic.Int64
	var calls sync.WaitGroup
	for n := range 50 {
		calls.Go(func() {
			answer, err := j.append(mission, fmt.Sprintf("call-%06d", n))
			switch {
			case err != nil:
				t.Error(err)
			case answer.Error == nil:
			case answer.Error.Data.Stage != "mandate" || answer.Error.Data.Outcome != "deny":
				t.Errorf("refused for another reason than its limit: %+v", answer.Error)
			default:
				refused.Add(1)
			}
		})
	}
	calls.Wait()
	if did.count() != 40 || refused.Load() != 10 {
		t.Errorf("%d calls were done and %d refused, want 40 and 10", did.count(), refused.Load())
	}
	j.bundle(mission.ID())
}

// TestRevoke revokes a mission while its agent acts without a pause: nothing is
// allowed behind the revocation, in the order of the ledger.
func TestRevoke(t *testing.T) {
	j, did := newJournal(t)
	mission := j.take(mandate{agent: "writer", key: j.key, bearer: true}, "journal")
	var refused atomic.Int64
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for n := 0; !t.Failed(); n++ {
				answer, err := j.append(mission, fmt.Sprintf("call-%d-%06d", i, n))
				if err != nil {
					t.Error(err)
				} else if e := answer.Error; e != nil {
					if e.Data.Stage != "mandate" {
						t.Errorf("refused for another reason than the revocation: %+v", e)
					}
					refused.Add(1)
					return
				}
			}
		})
	}
	for did.count() < 50 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	var done struct{ Entry string }
	must(t, j.admin.Do(t.Context(), "POST", "/api/v1/revoke", map[string]string{"node": mission.ID()}, &done))
	workers.Wait()
	if refused.Load() != 8 {
		t.Errorf("%d of 8 workers were refused", refused.Load())
	}
	after, decisions := false, 0
	for _, e := range j.bundle(mission.ID()).Entries {
		_, ok := allowed(e)
		switch {
		case e.Leaf.ID == done.Entry:
			after = true
		case ok && after:
			t.Errorf("entry %d was allowed behind the revocation", e.Leaf.Index)
		case ok:
			decisions++
		}
	}
	if !after || decisions != did.count() {
		t.Errorf("the revocation is on the record: %t; %d calls were done, %d allowed", after, did.count(), decisions)
	}
}

// TestStop asks the server to end while agents act: what is in flight finishes,
// and every outcome is on the record.
func TestStop(t *testing.T) {
	j, did := newJournal(t)
	mission := j.take(mandate{agent: "writer", key: j.key, bearer: true}, "journal")
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for n := 0; ; n++ {
				if answer, err := j.append(mission, fmt.Sprintf("call-%d-%06d", i, n)); err != nil {
					return
				} else if answer.Error != nil {
					t.Errorf("refused: %+v", answer.Error)
				}
			}
		})
	}
	for did.count() < 50 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	must(t, j.server.Process.Signal(os.Interrupt))
	workers.Wait()
	<-j.gone
	if code := j.server.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, j.stderr)
	}
	j.start()
	j.compare(mission.ID(), did, &tally{})
	outcomes := 0
	for _, e := range j.bundle(mission.ID()).Entries {
		if e.Leaf.Kind == "outcome" && strings.Contains(string(e.Payload), `"ok"`) {
			outcomes++
		}
	}
	if outcomes != did.count() {
		t.Errorf("%d calls were done, and %d outcomes are on the record", did.count(), outcomes)
	}
}
