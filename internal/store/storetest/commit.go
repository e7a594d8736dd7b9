package storetest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A condition holds while nothing bumped the head after its epoch.
func conditions(f *fixture) {
	m := f.mint.New(principal.Mission)
	f.must(f.conditioned(m, 0)) // a head that does not exist
	c := f.commit()
	c.Bump = []principal.UID{m}
	at := f.must(c).Revision
	f.wraps(f.refused(f.conditioned(m, at-1)), ledger.ErrMoved)
	f.must(f.conditioned(m, at))
	f.must(f.conditioned(m, at+7))
	f.must(f.conditioned(f.mint.New(principal.Mission), 0))
	c = f.conditioned(f.mint.New(principal.Mission), 0)
	c.Conditions = append(c.Conditions, ledger.Condition{Head: m, Epoch: at - 1})
	f.wraps(f.refused(c), ledger.ErrMoved)
}

// After a bump has committed, no commit conditioned on what was before can: none
// has a place in the order behind it (SEMANTICS section 7 and case 35).
func revocation(f *fixture) {
	m := f.mint.New(principal.Mission)
	var mu sync.Mutex
	var wg sync.WaitGroup
	last, moved := int64(0), 0
	for range 16 {
		wg.Go(func() {
			for {
				r, err := f.Commit(f.Context(), f.conditioned(m, 0))
				mu.Lock()
				last = max(last, r.N)
				if err != nil {
					moved++
				}
				mu.Unlock()
				if err != nil {
					if !errors.Is(err, ledger.ErrMoved) {
						f.Error(err)
					}
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	c := f.changing(user("usr_1", "ana"))
	c.Bump = []principal.UID{m}
	r := f.must(c)
	wg.Wait()
	if moved != 16 || last >= r.N {
		f.Errorf("%d of 16 callers were stopped; the last entry has n=%d, the revocation n=%d", moved, last, r.N)
	}
}

// A bump sets the epoch to the commit's revision, takes one even without rows,
// and leaves the counters.
func bumps(f *fixture) {
	m, other := f.mint.New(principal.Mission), f.mint.New(principal.Mission)
	f.must(f.charging(ledger.Charge{Head: m, Limit: free(), Calls: 3}))
	c := f.commit()
	c.Bump = []principal.UID{m, other, m}
	r := f.must(c)
	if r.Revision != 1 || f.revision() != 1 {
		f.Errorf("a bump took revision %d, and the tenant is at %d; want 1", r.Revision, f.revision())
	}
	if h := f.head(m); h.Epoch != 1 || h.Calls != 3 {
		f.Errorf("head %+v, want epoch 1 and 3 calls", h)
	}
	if h := f.head(other); h.Epoch != 1 {
		f.Errorf("head %+v, want epoch 1", h)
	}
	revs, err := f.Changes(f.Context(), f.tenant, 0, 10)
	f.ok(err)
	if len(revs) != 1 || revs[0].N != 1 || len(revs[0].Rows) != 0 {
		f.Errorf("changes %+v, want revision 1 without rows", revs)
	}
	if r := f.must(f.commit()); r.Revision != 1 {
		f.Errorf("a commit without rows has revision %d, want the latest, 1", r.Revision)
	}
}

// Counters add up, are returned as charged, and never fall below zero.
func charges(f *fixture) {
	h := f.mint.New(principal.Hop)
	add := ledger.Charge{Head: h, Limit: free(), Calls: 1, Cost: 30, Rows: 5, Children: 2}
	f.must(f.charging(add))
	c := f.charging(add)
	c.Charges = append(c.Charges, ledger.Charge{Head: h, Cost: -10}, ledger.Charge{Head: f.tenant, Limit: free(), Calls: 1})
	r := f.must(c)
	want := ledger.Head{Calls: 2, Cost: 50, Rows: 10, Children: 4}
	if got := r.Head[h]; !reflect.DeepEqual(got, want) {
		f.Errorf("receipt says %+v, want %+v", got, want)
	}
	if got := f.head(h); !reflect.DeepEqual(got, want) {
		f.Errorf("head is %+v, want %+v", got, want)
	}
	if len(r.Head) != 2 || r.Head[f.tenant].Calls != 1 {
		f.Errorf("receipt's heads %+v, want the hop and the tenant", r.Head)
	}
	f.must(f.charging(ledger.Charge{Head: h, Calls: -9, Cost: -1, Children: -4}))
	if got := f.head(h); got.Calls != 0 || got.Cost != 49 || got.Children != 0 {
		f.Errorf("after returning, head is %+v", got)
	}
	absent := f.mint.New(principal.Hop)
	if hs, err := f.Heads(f.Context(), f.tenant, absent); err != nil || len(hs) != 0 {
		f.Errorf("a head that does not exist: %v, %v", hs, err)
	}
}

// Every kind of limit binds, and the error says which. The zero Limit allows
// nothing.
func limits(f *fixture) {
	type change = func(*ledger.Charge)
	for name, set := range map[string]change{
		"calls":    func(c *ledger.Charge) { c.Limit.Calls, c.Calls = 2, 1 },
		"cost":     func(c *ledger.Charge) { c.Limit.Cost, c.Cost = 2, 1 },
		"rows":     func(c *ledger.Charge) { c.Limit.Rows, c.Rows = 2, 1 },
		"children": func(c *ledger.Charge) { c.Limit.Children, c.Children = 2, 1 },
		"rate":     func(c *ledger.Charge) { c.Limit.RateN, c.Limit.RatePer, c.Rate = 2, time.Hour, true },
	} {
		ch := ledger.Charge{Head: f.mint.New(principal.Hop), Limit: free()}
		set(&ch)
		f.must(f.charging(ch))
		f.must(f.charging(ch))
		before := f.head(ch.Head)
		err := f.refused(f.charging(ch))
		f.wraps(err, ledger.ErrLimit)
		if msg, _ := fault.Safe(err); !strings.Contains(msg, name) {
			f.Errorf("the refusal %q does not say %q", msg, name)
		}
		if after := f.head(ch.Head); !reflect.DeepEqual(before, after) {
			f.Errorf("%s: a refused charge changed the head from %+v to %+v", name, before, after)
		}
		forgot := ledger.Charge{Head: f.mint.New(principal.Hop)}
		set(&forgot)
		forgot.Limit = ledger.Limit{}
		f.wraps(f.refused(f.charging(forgot)), ledger.ErrLimit)
	}
	h := f.mint.New(principal.Hop)
	bound := free()
	bound.Cost = 100
	f.must(f.charging(ledger.Charge{Head: h, Limit: bound, Cost: 100}))
	f.wraps(f.refused(f.charging(ledger.Charge{Head: h, Limit: bound, Cost: math.MaxInt64})), ledger.ErrLimit)
	f.wraps(f.refused(f.charging(ledger.Charge{Head: h, Limit: bound, Calls: 1, Cost: 1})), ledger.ErrLimit)
	f.must(f.charging(ledger.Charge{Head: h, Limit: bound, Calls: 1}))
	f.must(f.charging(ledger.Charge{Head: h, Cost: -100})) // only returns: needs no limit
}

// 50 parallel calls with 40 left: exactly 40 (SEMANTICS case 34).
func parallel(f *fixture) {
	m := f.mint.New(principal.Mission)
	bound := free()
	bound.Calls = 40
	var mu sync.Mutex
	var wg sync.WaitGroup
	taken := 0
	for range 50 {
		wg.Go(func() {
			c := f.charging(ledger.Charge{Head: m, Limit: bound, Calls: 1})
			c.Conditions = []ledger.Condition{{Head: m}}
			_, err := f.Commit(f.Context(), c)
			if err != nil && !errors.Is(err, ledger.ErrLimit) {
				f.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			}
		})
	}
	wg.Wait()
	if h := f.head(m); taken != 40 || h.Calls != 40 || len(f.all()) != 40 {
		f.Errorf("%d commits succeeded, the counter says %d, the ledger has %d entries; want 40", taken, h.Calls, len(f.all()))
	}
}

// The rate window slides over the instants of the entries, whatever order they
// come in.
func rate(f *fixture) {
	h := f.mint.New(principal.Hop)
	start := time.Now().Truncate(time.Second)
	bound := free()
	bound.RateN, bound.RatePer = 3, time.Minute
	call := func(after time.Duration) error {
		c := f.charging(ledger.Charge{Head: h, Limit: bound, Rate: true})
		c.Entry.Time = start.Add(after)
		_, err := f.Commit(f.Context(), c)
		return err
	}
	for _, step := range []struct {
		after time.Duration
		held  bool
	}{
		{0, true}, {20 * time.Second, true}, {10 * time.Second, true},
		{30 * time.Second, false}, {59 * time.Second, false},
		{60 * time.Second, true}, // the call at 0 is out: the window is (0, 60]
		{69 * time.Second, false}, {70 * time.Second, true}, {79 * time.Second, false}, {80 * time.Second, true},
	} {
		err := call(step.after)
		if step.held {
			f.ok(err)
			continue
		}
		f.wraps(err, ledger.ErrLimit)
	}
	if h := f.head(h); len(h.Rate) != 3 {
		f.Errorf("the window holds %d instants, want 3", len(h.Rate))
	}
	f.restart()
	f.wraps(call(81*time.Second), ledger.ErrLimit)
	f.ok(call(3 * time.Minute))
	if h := f.head(h); len(h.Rate) != 1 {
		f.Errorf("the window holds %d instants, want 1", len(h.Rate))
	}
}

// What fails leaves nothing: no charge, bump, row, once-key or revision.
func atomic(f *fixture) {
	m, moved := f.mint.New(principal.Mission), f.mint.New(principal.Mission)
	c := f.commit()
	c.Bump = []principal.UID{moved}
	f.must(c)
	before := f.revision()
	key := ledger.Once{Key: "proof-1", Expiry: time.Now().Add(time.Hour)}
	whole := func() ledger.Commit {
		c := f.changing(user("usr_1", "ana"))
		c.Charges = []ledger.Charge{{Head: m, Limit: free(), Calls: 1}}
		c.Bump = []principal.UID{m}
		c.Once = []ledger.Once{key}
		return c
	}
	c = whole()
	c.Conditions = []ledger.Condition{{Head: moved, Epoch: 0}}
	f.wraps(f.refused(c), ledger.ErrMoved)
	c = whole()
	c.Charges = append(c.Charges, ledger.Charge{Head: m, Calls: 1})
	f.wraps(f.refused(c), ledger.ErrLimit)
	c = whole()
	c.Rows = append(c.Rows, user("usr_2", "ana"))
	f.kind(f.refused(c), fault.Conflict)
	_, rows, err := f.Load(f.Context(), f.tenant)
	f.ok(err)
	if h := f.head(m); h.Epoch != 0 || h.Calls != 0 || f.revision() != before || len(rows) != 0 {
		f.Errorf("after three refusals: head %+v, revision %d (was %d), rows %v", h, f.revision(), before, rows)
	}
	r := f.must(whole())
	if h := f.head(m); h.Epoch != r.Revision || h.Calls != 1 || r.Revision != before+1 {
		f.Errorf("then: head %+v, receipt %+v", h, r)
	}
}

// A once-key is good for one commit that succeeds, across restarts.
func once(f *fixture) {
	presenting := func(keys ...string) ledger.Commit {
		c := f.commit()
		for _, k := range keys {
			c.Once = append(c.Once, ledger.Once{Key: k, Expiry: time.Now().Add(time.Hour)})
		}
		return c
	}
	f.must(presenting("a", "b"))
	f.kind(f.refused(presenting("a")), fault.Unauthenticated)
	f.kind(f.refused(presenting("c", "b")), fault.Unauthenticated)
	f.must(presenting("c"))
	f.kind(f.refused(presenting("d", "d")), fault.Unauthenticated)
	var mu sync.Mutex
	var wg sync.WaitGroup
	taken := 0
	for range 32 {
		wg.Go(func() {
			_, err := f.Commit(f.Context(), presenting("same"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if fault.KindOf(err) != fault.Unauthenticated {
				f.Error(err)
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		f.Errorf("one key was taken %d times", taken)
	}
	f.restart()
	f.kind(f.refused(presenting("same")), fault.Unauthenticated)
}

// A lazy commit is acknowledged at once, durable within 250 ms without help, and
// keeps its place before what its caller commits next.
func lazy(f *fixture) {
	h := f.mint.New(principal.Hop)
	f.must(f.charging(ledger.Charge{Head: h, Limit: free(), Calls: 5}))
	c := f.charging(ledger.Charge{Head: h, Calls: -2})
	c.Lazy = true
	start := time.Now()
	if r := f.must(c); r.N != 0 {
		f.Errorf("a lazy receipt claims n=%d", r.N)
	}
	for len(f.all()) < 2 {
		if time.Since(start) > 2*time.Second { // 250 ms, and the patience that a busy machine needs
			f.Fatal("a lazy entry is not in the ledger after 2 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if h := f.head(h); h.Calls != 3 {
		f.Errorf("head %+v, want 3 calls", h)
	}
	var ids []principal.UID
	for i := range 300 {
		c := f.commit()
		c.Lazy = i%3 != 2
		f.must(c)
		ids = append(ids, c.Entry.ID)
	}
	f.restart() // Close makes everything durable
	got := f.all()[2:]
	if len(got) != len(ids) {
		f.Fatalf("%d entries after the restart, want %d", len(got), len(ids))
	}
	for i, e := range got {
		if e.Leaf.ID != string(ids[i]) {
			f.Fatalf("entry %d is %s, want %s: one caller's commits changed their order", i, e.Leaf.ID, ids[i])
		}
	}
}

// What the contract forbids is refused as a mistake of the program.
func misuse(f *fixture) {
	m := f.mint.New(principal.Mission)
	for name, set := range map[string]func(*ledger.Commit){
		"no entry":              func(c *ledger.Commit) { c.Entry = ledger.Entry{} },
		"lazy with a condition": func(c *ledger.Commit) { c.Lazy, c.Conditions = true, []ledger.Condition{{Head: m}} },
		"lazy with a charge":    func(c *ledger.Commit) { c.Lazy, c.Charges = true, []ledger.Charge{{Head: m, Limit: free(), Calls: 1}} },
		"lazy with rate": func(c *ledger.Commit) {
			c.Lazy, c.Charges = true, []ledger.Charge{{Head: m, Limit: free(), Rate: true}}
		},
		"lazy with a bump":           func(c *ledger.Commit) { c.Lazy, c.Bump = true, []principal.UID{m} },
		"lazy with rows":             func(c *ledger.Commit) { c.Lazy, c.Rows = true, []ledger.Row{user("usr_1", "ana")} },
		"lazy with once":             func(c *ledger.Commit) { c.Lazy, c.Once = true, []ledger.Once{{Key: "k", Expiry: time.Now()}} },
		"unknown kind":               func(c *ledger.Commit) { c.Rows = []ledger.Row{{Kind: "unicorn", Key: "1", Body: []byte(`{}`)}} },
		"row without key":            func(c *ledger.Commit) { c.Rows = []ledger.Row{{Kind: "user", Body: []byte(`{}`)}} },
		"row twice":                  func(c *ledger.Commit) { c.Rows = []ledger.Row{user("usr_1", "a"), user("usr_1", "b")} },
		"body that is not JSON":      func(c *ledger.Commit) { c.Rows = []ledger.Row{{Kind: "user", Key: "1", Body: []byte(`{`)}} },
		"once-key without a key":     func(c *ledger.Commit) { c.Once = []ledger.Once{{Expiry: time.Now()}} },
		"once-key without an expiry": func(c *ledger.Commit) { c.Once = []ledger.Once{{Key: "k"}} },
	} {
		c := f.commit()
		set(&c)
		if _, err := f.Commit(f.Context(), c); err == nil || fault.KindOf(err) != fault.Internal {
			f.Errorf("%s: got %v, want an internal fault", name, err)
		}
	}
	big := slices.Repeat([]byte("1"), 17<<20)
	c := f.commit()
	c.Entry.Payload = big
	_, err := f.Commit(f.Context(), c)
	f.kind(err, fault.TooLarge)
	_, err = f.Commit(f.Context(), f.changing(ledger.Row{Kind: "user", Key: "usr_1", Body: big}))
	f.kind(err, fault.TooLarge)
	if n := len(f.all()); n != 0 {
		f.Errorf("%d entries came of it", n)
	}
}

// A caller that has left before the store wrote leaves nothing behind, and one
// that has its receipt finds its entry.
func left(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	var mu sync.Mutex
	var wg sync.WaitGroup
	kept := map[string]bool{}
	for i := range 64 {
		wg.Go(func() {
			c := f.commit()
			if i == 32 {
				cancel()
			}
			_, err := f.Commit(ctx, c)
			if err != nil && (fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled)) {
				f.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			kept[string(c.Entry.ID)] = err == nil
		})
	}
	wg.Wait()
	f.must(f.commit())
	n := 0
	for _, e := range f.all() {
		if ok, mine := kept[e.Leaf.ID]; mine && !ok {
			f.Errorf("entry %s is in the ledger, and its caller was told that it is not", e.Leaf.ID)
		} else if mine {
			n++
		}
	}
	for _, ok := range kept {
		if ok {
			n--
		}
	}
	if n != 0 {
		f.Errorf("%d acknowledged entries are missing", -n)
	}
	cancel()
}

// After Close nothing is answered.
func closed(f *fixture) {
	s := f.Store
	f.restart()
	_, err := s.Commit(f.Context(), f.commit())
	f.kind(err, fault.Unavailable)
	_, err = s.Heads(f.Context(), f.tenant, f.tenant)
	f.kind(err, fault.Unavailable)
	_, err = s.Revision(f.Context(), f.tenant)
	f.kind(err, fault.Unavailable)
	_, _, err = s.Load(f.Context(), f.tenant)
	f.kind(err, fault.Unavailable)
	_, err = s.Entries(f.Context(), f.tenant, ledger.Filter{})
	f.kind(err, fault.Unavailable)
	f.kind(s.Sequence(f.Context(), f.tenant, 0, []ledger.Assigned{{N: 1}}, nil), fault.Unavailable)
}
