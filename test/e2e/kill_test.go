package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the store's own driver, to tamper with what it keeps

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/proof"
)

// TestKill ends the server with SIGKILL at random moments while agents act, and
// then compares three accounts of what happened: what the upstream did, what the
// agents were told, and what the evidence says. Whatever was done or acknowledged
// must have been decided first, on the record, once.
func TestKill(t *testing.T) {
	calls, kills := 1000, 20
	if long() {
		calls, kills = 20_000, 200
	}
	did := tally{m: map[string]int{}}
	up := newUpstream(t, func(_ string, arguments map[string]json.RawMessage) {
		var id string
		if json.Unmarshal(arguments["id"], &id) == nil {
			did.add(id)
		}
		// The server may die before the answer, and not only while idle.
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}, "append")

	w := newWorld(t)
	key := newKey(t)
	w.apply(map[string]any{
		"users":   []any{map[string]any{"id": "admin", "name": "The administrator"}},
		"servers": []any{map[string]any{"id": "journal", "url": up.URL, "tools": map[string]any{"append": map[string]any{"effect": "write"}}}},
		"blueprints": []any{map[string]any{"id": "writer", "owner": "admin", "purpose": "write the journal", "entitlement": "delegated", "bearer": true,
			"ceiling": []any{map[string]any{"type": "mcp_tool", "server": "journal", "actions": []string{"append"}, "arguments": map[string]any{"id": map[string]any{"prefix": "call-"}}}}}},
		"agents":   []any{map[string]any{"id": "writer", "blueprint": "writer", "key": key.Public()}},
		"policies": permit("journal"),
	})
	mission := w.take("writer", "write the journal", "journal", key, true, nil)
	a := &actors{w: w, mission: mission.Mission, calls: int64(calls), acknowledged: tally{m: map[string]int{}}}
	var workers sync.WaitGroup
	defer workers.Wait()
	for range 8 {
		workers.Go(func() { a.work(t) })
	}
	for _, at := range moments(kills, calls) {
		for a.begun.Load() < at && !t.Failed() {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		w.kill()
		w.start() // which verifies the head of the ledger, and refuses a broken one
	}
	workers.Wait()
	w.compare(mission.ID(), &did, &a.acknowledged)
	w.refusesChangedPast()
	t.Logf("%d calls, %d effects, %d acknowledged, %d kills; the slowest start took %v", calls, len(did.m), len(a.acknowledged.m), kills, w.slowest)
}

// compare holds what was done and what was acknowledged against the evidence.
func (w *world) compare(mission string, did, acknowledged *tally) {
	decided := map[string]int{}
	answered := map[string]bool{} // decision entries that have an outcome
	b := w.bundle(mission)
	for _, e := range b.Entries {
		if e.Leaf.Kind == "outcome" {
			answered[e.Leaf.Parent] = true
		}
	}
	for _, e := range b.Entries {
		if id, ok := allowed(e); ok {
			decided[id]++
		} else if e.Leaf.Kind == "decision" {
			w.t.Errorf("entry %d is a %s of %s", e.Leaf.Index, e.Leaf.Decision, e.Leaf.Action)
		}
	}
	for id, n := range did.m {
		switch {
		case n != 1:
			w.t.Errorf("%s was done %d times", id, n)
		case decided[id] != 1:
			w.t.Errorf("%s was done and has %d decisions", id, decided[id])
		}
	}
	for id := range acknowledged.m {
		if decided[id] != 1 || did.m[id] != 1 {
			w.t.Errorf("%s was acknowledged, was done %d times and has %d decisions", id, did.m[id], decided[id])
		}
	}
	w.t.Logf("%d decisions, %d of them with an outcome", len(decided), len(answered))
}

// refusesChangedPast turns one allowed call of the stored ledger into another and
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

// allowed returns the argument of the call that an entry allows.
func allowed(e proof.Entry) (string, bool) {
	var p struct{ Arguments struct{ ID string } }
	if e.Leaf.Kind != "decision" || e.Leaf.Decision != "allow" || json.Unmarshal(e.Payload, &p) != nil {
		return "", false
	}
	return p.Arguments.ID, p.Arguments.ID != ""
}

// moments returns n random counts of calls, in order, at which the server dies.
func moments(n, calls int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = rand.Int64N(int64(calls - 8))
	}
	slices.Sort(out)
	return out
}

// A tally counts by name. Safe for concurrent use.
type tally struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[name]++
}

// actors are the workers of one agent.
type actors struct {
	w            *world
	mission      *client.Mission
	calls        int64
	begun        atomic.Int64
	acknowledged tally
}

// work makes calls until all were begun. A call whose fate is not known is not
// repeated: its name would be done twice, rightly.
func (a *actors) work(t *testing.T) {
	for !t.Failed() {
		n := a.begun.Add(1)
		if n > a.calls {
			return
		}
		id := fmt.Sprintf("call-%06d", n)
		ok, err := a.call(t, id)
		for errors.Is(err, syscall.ECONNREFUSED) && !t.Failed() { // nobody was there: nothing was sent
			time.Sleep(5 * time.Millisecond)
			ok, err = a.call(t, id)
		}
		if ok {
			a.acknowledged.add(id)
		}
	}
}

// call makes one call and reports whether it was acknowledged as done.
func (a *actors) call(t *testing.T, id string) (bool, error) {
	body := toolCall("append", map[string]string{"id": id})
	req, err := http.NewRequestWithContext(t.Context(), "POST", a.w.issuer+"/mcp/journal", bytes.NewReader([]byte(body)))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.mission.HTTPClient("journal").Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	var answer rpcAnswer
	if err == nil && json.Unmarshal(b, &answer) == nil && answer.Error != nil {
		t.Errorf("%s was refused: %s", id, b)
	}
	return err == nil && res.StatusCode == http.StatusOK && len(answer.Result.Content) == 1, err
}
