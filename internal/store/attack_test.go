package store

import (
	"encoding/json"
	"testing"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
)

// Callers are answered before their refusals are written, and choose how long a
// refusal's arguments are: what waits for the disk is bounded in bytes, too.
func TestAttackLazyEntriesFillMemory(t *testing.T) {
	q := newQueue()
	long := &request{commit: ledger.Commit{Lazy: true, Entry: ledger.Entry{Payload: make(json.RawMessage, 1<<20)}}}
	n := 0
	for ; n < maxLazy; n++ {
		r := *long
		if err := q.push(&r); err != nil {
			if fault.KindOf(err) != fault.Unavailable {
				t.Fatal(err)
			}
			break
		}
	}
	if n != maxWaiting>>20 {
		t.Fatalf("%d entries of 1 MiB wait in memory", n)
	}
	q.close()
	for len(q.next(nil)) > 0 {
	}
	if q.bytes != 0 || q.lazy != 0 {
		t.Fatalf("%d bytes of %d entries are still counted", q.bytes, q.lazy)
	}
}
