package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// An entry id exists once, and what repeats it fails alone.
func duplicate(f *fixture) {
	first := f.commit()
	f.must(first)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			c := f.commit()
			if i%6 == 0 {
				c.Entry.ID = first.Entry.ID
			}
			_, err := f.Commit(f.Context(), c)
			if (err != nil) != (i%6 == 0) || err != nil && fault.KindOf(err) != fault.Conflict {
				f.Errorf("commit %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := len(f.all()); n != 21 {
		f.Errorf("%d entries, want 21", n)
	}
}

// Everything is there again after a restart, and the writer counts its starts.
func reopen(f *fixture) {
	m := f.mint.New(principal.Mission)
	c := f.changing(user("usr_1", "ana"))
	c.Bump = []principal.UID{m}
	c.Charges = []ledger.Charge{{Head: m, Limit: free(), Calls: 2, Cost: 7, Rows: 3, Children: 1}}
	r := f.must(c)
	before, err := f.Meta(f.Context())
	f.ok(err)
	head := f.head(m)
	f.restart()
	after, err := f.Meta(f.Context())
	f.ok(err)
	if after.Boot != before.Boot+1 {
		f.Errorf("boot %d after boot %d", after.Boot, before.Boot)
	}
	before.Boot = after.Boot
	if d := gocmp.Diff(before, after); d != "" {
		f.Error(d)
	}
	if d := gocmp.Diff(head, f.head(m)); d != "" {
		f.Error(d)
	}
	f.wraps(f.refused(f.conditioned(m, r.Revision-1)), ledger.ErrMoved)
	if next := f.must(f.changing(user("usr_2", "bo"))); next.N != r.N+1 || next.Revision != r.Revision+1 {
		f.Errorf("receipt %+v after %+v", next, r)
	}
}

// The writer's order has no gap and every entry names the one before it, across
// restarts; drafts hold what was committed.
func chain(f *fixture) {
	for range 3 {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				c := f.commit()
				c.Lazy = i%5 == 0
				if i%5 == 3 {
					c.Rows = []ledger.Row{user(fmt.Sprint("usr_", i), "")}
				}
				if _, err := f.Commit(f.Context(), c); err != nil {
					f.Error(err)
				}
			})
		}
		wg.Wait()
		f.restart()
	}
	es := f.all()
	if len(es) != 120 {
		f.Fatalf("%d entries, want 120", len(es))
	}
	pending, err := f.Pending(f.Context(), f.tenant, 1000)
	f.ok(err)
	prev := ""
	for i, e := range es {
		l := e.Leaf
		if l.N != int64(i+1) || l.Prev != prev || l.Boot != int64(1+i/40) || l.Index != -1 || l.Tenant != string(f.tenant) {
			f.Fatalf("entry %d: n=%d boot=%d prev=%q index=%d, want prev=%q", i, l.N, l.Boot, l.Prev, l.Index, prev)
		}
		if l.Payload != proof.Commit(e.Salt, e.Payload) {
			f.Errorf("entry %d does not commit to its payload", i)
		}
		if string(e.Payload) != `{"resource":"patient:P1"}` {
			f.Errorf("entry %d has payload %s", i, e.Payload)
		}
		if pending[i].N != l.N {
			f.Errorf("pending %d has n=%d", i, pending[i].N)
		}
		prev = proof.Hash(pending[i].Draft)
	}
}

// Sequence takes the oldest entries, at the present size, whole or not at all.
func sequence(f *fixture) {
	runs := []principal.UID{f.mint.New(principal.Run), f.mint.New(principal.Run), ""}
	for i := range 30 {
		c := f.commit()
		c.Entry.Run = runs[i%3]
		f.must(c)
	}
	put := func(from int64, as ...ledger.Assigned) error { return f.Sequence(f.Context(), f.tenant, from, as, nil) }
	f.kind(put(1, ledger.Assigned{N: 1, Index: 1}), fault.Conflict)
	f.kind(put(0, ledger.Assigned{N: 2, Index: 0}), fault.Conflict)
	f.kind(put(0, ledger.Assigned{N: 1, Index: 0}, ledger.Assigned{N: 3, Index: 1}), fault.Conflict)
	size := int64(0)
	for _, limit := range []int{7, 20, 9} {
		pending, err := f.Pending(f.Context(), f.tenant, limit)
		f.ok(err)
		counts, err := f.RunCounts(f.Context(), f.tenant, runs)
		f.ok(err)
		as := ledger.Order(pending, size, counts)
		f.ok(f.Sequence(f.Context(), f.tenant, size, as, nil))
		f.kind(f.Sequence(f.Context(), f.tenant, size, as, nil), fault.Conflict)
		size += int64(len(as))
		if got, err := f.Size(f.Context(), f.tenant); err != nil || got != size {
			f.Fatalf("size %d, %v; want %d", got, err, size)
		}
	}
	f.kind(put(30, ledger.Assigned{N: 31, Index: 30}), fault.Conflict) // no such entry
	last := map[string]int64{}
	for i, e := range f.all() {
		if e.Leaf.Index != int64(i) {
			f.Errorf("entry %d has index %d", i, e.Leaf.Index)
		}
		if run := e.Leaf.Run; run == "" && e.Leaf.RunN != 0 || run != "" && e.Leaf.RunN != last[run]+1 {
			f.Errorf("entry %d of run %q has number %d after %d", i, run, e.Leaf.RunN, last[run])
		}
		last[e.Leaf.Run] = e.Leaf.RunN
	}
	f.restart()
	counts, err := f.RunCounts(f.Context(), f.tenant, append(runs, f.mint.New(principal.Run)))
	f.ok(err)
	if counts[runs[0]] != 10 || counts[runs[1]] != 10 || len(counts) != 4 {
		f.Errorf("counts %v", counts)
	}
}

// A filter selects by mission, entry, kind and index, sequenced or not.
func entries(f *fixture) {
	missions := []principal.UID{f.mint.New(principal.Mission), f.mint.New(principal.Mission), ""}
	var ids []string
	for i := range 24 {
		c := f.commit()
		c.Entry.Mission = missions[i%3]
		if i%2 == 1 {
			c.Entry.Kind = ledger.Outcome
		}
		c.Entry.Payload = fmt.Appendf(nil, `{"i":%d}`, i)
		f.must(c)
		ids = append(ids, string(c.Entry.ID))
	}
	get := func(flt ledger.Filter) (got []string) {
		f.Helper()
		es, err := f.Entries(f.Context(), f.tenant, flt)
		f.ok(err)
		for _, e := range es {
			got = append(got, e.Leaf.ID)
		}
		return got
	}
	want := func(keep func(i int) bool) (w []string) {
		for i, id := range ids {
			if keep(i) {
				w = append(w, id)
			}
		}
		return w
	}
	check := func(flt ledger.Filter, keep func(i int) bool) {
		f.Helper()
		if d := gocmp.Diff(want(keep), get(flt)); d != "" {
			f.Errorf("%+v: %s", flt, d)
		}
	}
	for _, size := range []int64{0, 10, 24} {
		if size > 0 {
			pending, err := f.Pending(f.Context(), f.tenant, 14)
			f.ok(err)
			from, err := f.Size(f.Context(), f.tenant)
			f.ok(err)
			f.ok(f.Sequence(f.Context(), f.tenant, from, ledger.Order(pending[:min(int(size-from), len(pending))], from, nil), nil))
		}
		check(ledger.Filter{}, func(int) bool { return true })
		check(ledger.Filter{Mission: missions[1]}, func(i int) bool { return i%3 == 1 })
		check(ledger.Filter{Mission: missions[0], Kind: ledger.Outcome}, func(i int) bool { return i%6 == 3 })
		check(ledger.Filter{Entry: principal.UID(ids[5])}, func(i int) bool { return i == 5 })
		check(ledger.Filter{Kind: ledger.Decision, Limit: 4}, func(i int) bool { return i%2 == 0 && i < 8 })
		if size > 0 {
			check(ledger.Filter{After: 3}, func(i int) bool { return i > 3 })
			check(ledger.Filter{After: 8, Mission: missions[0], Limit: 2}, func(i int) bool { return i == 9 || i == 12 })
			check(ledger.Filter{After: 1000}, func(i int) bool { return int64(i) >= size })
		}
	}
	es, err := f.Entries(f.Context(), f.tenant, ledger.Filter{Entry: principal.UID(ids[7])})
	f.ok(err)
	if string(es[0].Payload) != `{"i":7}` || es[0].Leaf.Index != 7 {
		f.Errorf("entry 7: %+v", es[0])
	}
}

// Of a tile the widest is kept, whatever comes after.
func tiles(f *fixture) {
	wide := bytes.Repeat([]byte{1}, 3*tlog.HashSize)
	put := func(ts ...ledger.Tile) {
		f.Helper()
		f.must(f.commit())
		size, err := f.Size(f.Context(), f.tenant)
		f.ok(err)
		f.ok(f.Sequence(f.Context(), f.tenant, size, []ledger.Assigned{{N: size + 1, Index: size}}, ts))
	}
	put(ledger.Tile{Level: 0, N: 0, Width: 2, Data: wide[:64]}, ledger.Tile{Level: 1, N: 0, Width: 1, Data: wide[:32]})
	put(ledger.Tile{Level: 0, N: 0, Width: 3, Data: wide})
	put(ledger.Tile{Level: 0, N: 0, Width: 1, Data: wide[:32]})
	for _, c := range []struct{ level, width, want int }{{0, 1, 96}, {0, 3, 96}, {1, 1, 32}} {
		if data, err := f.ReadTile(f.Context(), f.tenant, c.level, 0, c.width); err != nil || len(data) != c.want {
			f.Errorf("tile %+v: %d bytes, %v", c, len(data), err)
		}
	}
	for _, c := range []struct{ level, n, width int }{{0, 0, 4}, {0, 1, 1}, {2, 0, 1}} {
		_, err := f.ReadTile(f.Context(), f.tenant, c.level, int64(c.n), c.width)
		f.kind(err, fault.NotFound)
	}
}

// The last checkpoint is the newest; none may contradict it.
func checkpoints(f *fixture) {
	if c, err := f.LastCheckpoint(f.Context(), f.tenant); err != nil || c.Note != nil || c.Size != 0 {
		f.Fatalf("before the first: %+v, %v", c, err)
	}
	save := func(size int64, root byte) error {
		return f.SaveCheckpoint(f.Context(), f.tenant, ledger.Checkpoint{Size: size, Root: tlog.Hash{root},
			Note: fmt.Appendf(nil, "note %d %d", size, root), At: time.UnixMicro(1_700_000_000_000_000 + size).UTC()})
	}
	f.ok(save(0, 9))
	f.ok(save(5, 1))
	f.ok(save(5, 1)) // signed anew, with another time or more cosignatures
	f.kind(save(5, 2), fault.Conflict)
	f.kind(save(4, 1), fault.Conflict)
	f.ok(save(8, 3))
	f.restart()
	c, err := f.LastCheckpoint(f.Context(), f.tenant)
	f.ok(err)
	want := ledger.Checkpoint{Size: 8, Root: tlog.Hash{3}, Note: []byte("note 8 3"), At: time.UnixMicro(1_700_000_000_000_008).UTC()}
	if d := gocmp.Diff(want, c); d != "" {
		f.Error(d)
	}
}
