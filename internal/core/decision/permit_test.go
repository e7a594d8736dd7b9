package decision

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
)

// floor says that every commit is durable.
type floor struct{}

func (floor) Commit(context.Context, ledger.Commit) (ledger.Receipt, error) {
	return ledger.Receipt{Revision: 1, N: 1}, nil
}

func (floor) Heads(context.Context, principal.UID, ...principal.UID) (map[principal.UID]ledger.Head, error) {
	return nil, nil
}

func committed(t *testing.T, lazy bool) ledger.Committed {
	t.Helper()
	c, err := ledger.Append(context.Background(), floor{}, ledger.Commit{Lazy: lazy, Entry: ledger.Entry{ID: "ent_1"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func allowing(a mapping.Action) Verdict {
	return Verdict{made: true, outcome: Allow, binding: -1, subject: directory.Direct{Principal: "usr_1"}, request: Request{Action: a}}
}

// TestNewPermit: nothing less than an allowing verdict about a known call and its
// durable entry is a permit; zero values are none.
func TestNewPermit(t *testing.T) {
	known := allowing(mapping.Action{Server: "srv_1"})
	if _, err := NewPermit(known, committed(t, false)); err != nil {
		t.Fatal(err)
	}
	denied, challenged, unmade := known, known, known
	denied.outcome, challenged.outcome, unmade.made = Deny, Challenge, false
	for name, c := range map[string]struct {
		v Verdict
		c ledger.Committed
	}{
		"denied":            {denied, committed(t, false)},
		"challenged":        {challenged, committed(t, false)},
		"nobody decided":    {unmade, committed(t, false)},
		"zero verdict":      {Verdict{}, committed(t, false)},
		"no entry":          {known, ledger.Committed{}},
		"a lazy entry":      {known, committed(t, true)},
		"arguments unknown": {allowing(mapping.Action{Server: "srv_1", Unknown: true}), committed(t, false)},
	} {
		if p, err := NewPermit(c.v, c.c); err == nil || p.Spend("srv_1") == nil {
			t.Errorf("%s: a permit was made", name)
		}
	}
	if new(Permit).Spend("") == nil || (*Permit)(nil).Spend("srv_1") == nil {
		t.Error("a zero permit was spent")
	}
}

// TestSpendOnce: of many that race, one spends, and on its server only.
func TestSpendOnce(t *testing.T) {
	p, err := NewPermit(allowing(mapping.Action{Server: "srv_1"}), committed(t, false))
	if err != nil {
		t.Fatal(err)
	}
	if p.Spend("srv_2") == nil {
		t.Fatal("spent on another server")
	}
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if p.Spend("srv_1") == nil {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if n.Load() != 1 {
		t.Fatalf("spent %d times", n.Load())
	}
}
