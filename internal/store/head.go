package store

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// maxHeads bounds the heads that are held in memory; the others are read again
// when a commit or a caller asks for them.
const maxHeads = 1 << 16

type headKey struct{ tenant, id principal.UID }

// A headRow is a head as stored; stored is false for one that has no row yet
// and stands at epoch 0. dirty says that the batch at hand changed it.
type headRow struct {
	ledger.Head
	stored, dirty bool
}

// A tenantRow is where a tenant's revision and its writer's chain stand.
type tenantRow struct {
	issuer   string
	revision int64
	n        int64  // of the last entry
	prev     string // its hash
}

// A memory is what the last transaction left, for the heads in use and for all
// tenants. The writer alone changes it, after each COMMIT; because no other
// process may write to the file, it needs no reading back.
type memory struct {
	mu      sync.RWMutex
	heads   map[headKey]headRow
	tenants map[principal.UID]tenantRow
	changed chan struct{} // closed at the next revision
}

func newMemory() *memory {
	return &memory{heads: map[headKey]headRow{}, tenants: map[principal.UID]tenantRow{}, changed: make(chan struct{})}
}

func (m *memory) tenant(id principal.UID) (tenantRow, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t, ok := m.tenants[id]
	return t, ok
}

// publish puts a committed batch in force and wakes who waits for a revision.
func (m *memory) publish(heads map[headKey]headRow, tenants map[principal.UID]*tenantWork) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.heads)+len(heads) > maxHeads {
		clear(m.heads)
	}
	for k, h := range heads {
		h.dirty = false
		m.heads[k] = h
	}
	moved := false
	for id, t := range tenants {
		moved = moved || t.changed
		m.tenants[id] = tenantRow{issuer: t.issuer, revision: t.latest(), n: t.n, prev: t.prev}
	}
	if moved {
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

// charge returns h after c at the instant now, or a fault that wraps
// ledger.ErrLimit and names the kind of limit. A charge that only returns what
// was reserved cannot fail; one that adds anything must leave every kind within
// its limit. No counter falls below zero.
func charge(h ledger.Head, c ledger.Charge, now time.Time) (ledger.Head, error) {
	adds := !returns(c)
	for _, k := range [...]struct {
		name       string
		have       *int64
		add, limit int64
	}{
		{"calls", &h.Calls, c.Calls, c.Limit.Calls},
		{"cost", &h.Cost, c.Cost, c.Limit.Cost},
		{"rows", &h.Rows, c.Rows, c.Limit.Rows},
		{"children", &h.Children, c.Children, c.Limit.Children},
	} {
		if k.add > math.MaxInt64-*k.have {
			return h, passed(c.Head, k.name, *k.have, k.add, k.limit)
		}
		sum := max(0, *k.have+k.add)
		if adds && k.limit >= 0 && sum > k.limit {
			return h, passed(c.Head, k.name, *k.have, k.add, k.limit)
		}
		*k.have = sum
	}
	if !adds || c.Limit.RateN < 0 {
		return h, nil // an unlimited rate needs no window
	}
	return chargeRate(h, c, now)
}

// chargeRate counts one call in the sliding window of (now-per, now]. Instants
// after now, of entries made earlier on another core, count too: the window errs
// on the strict side. Without a period the window never moves.
func chargeRate(h ledger.Head, c ledger.Charge, now time.Time) (ledger.Head, error) {
	inside := int64(len(h.Rate))
	if c.Limit.RatePer > 0 {
		inside = h.InWindow(now, c.Limit.RatePer)
	}
	add := int64(0)
	if c.Rate {
		add = 1
	}
	if inside+add > c.Limit.RateN {
		return h, passed(c.Head, "rate", inside, add, c.Limit.RateN)
	}
	if !c.Rate {
		return h, nil
	}
	at := now.UnixMicro()
	if n := len(h.Rate); n > 0 && at < h.Rate[n-1] {
		i, _ := slices.BinarySearch(h.Rate, at)
		h.Rate = slices.Insert(slices.Clone(h.Rate), i, at) // earlier receipts share the array
	} else {
		h.Rate = append(h.Rate, at)
	}
	if c.Limit.RatePer > 0 {
		gone := time.UnixMicro(h.Rate[len(h.Rate)-1]).Add(-c.Limit.RatePer).UnixMicro()
		for len(h.Rate) > 0 && h.Rate[0] <= gone {
			h.Rate = h.Rate[1:]
		}
	}
	return h, nil
}

// returns reports whether c gives something back and adds nothing, so that it
// cannot fail. A charge of nothing at all is a guard: its limits must hold.
func returns(c ledger.Charge) bool {
	return c.Calls <= 0 && c.Cost <= 0 && c.Rows <= 0 && c.Children <= 0 && !c.Rate &&
		c.Calls+c.Cost+c.Rows+c.Children < 0
}

func passed(head principal.UID, kind string, have, add, limit int64) error {
	return fault.Wrap(fault.Conflict, ledger.ErrLimit, "limit %s of %s: %d used and %d asked, %d allowed", kind, head, have, add, limit)
}

// packRate writes the instants of a window as uvarint differences. The first is
// the difference from the Unix epoch; instants ascend.
func packRate(rate []int64) []byte {
	b := make([]byte, 0, 8+3*len(rate))
	last := int64(0)
	for _, at := range rate {
		b = binary.AppendUvarint(b, uint64(at-last))
		last = at
	}
	return b
}

// unpackRate is the inverse of packRate. What does not decode is an error: a
// window that forgot calls would allow more.
func unpackRate(b []byte) ([]int64, error) {
	var rate []int64
	for last := int64(0); len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fault.New(fault.Internal, "the rate window of a head does not decode: the store is damaged")
		}
		last += int64(d)
		rate, b = append(rate, last), b[n:]
	}
	return rate, nil
}
