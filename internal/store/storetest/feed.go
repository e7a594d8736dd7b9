package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A handle names one object of a kind; what gives it up in the same commit, or
// before, frees it.
func handles(f *fixture) {
	f.must(f.changing(user("usr_1", "ana"), user("usr_2", "bo")))
	f.kind(f.refused(f.changing(user("usr_3", "ana"))), fault.Conflict)
	f.kind(f.refused(f.changing(user("usr_2", "ana"))), fault.Conflict)
	f.must(f.changing(user("usr_1", "ana")))                                        // its own
	f.must(f.changing(user("usr_1", "bo"), user("usr_2", "ana")))                   // swapped
	f.must(f.changing(user("usr_1", "cy"), user("usr_3", "bo")))                    // handed on
	f.must(f.changing(user("usr_4", "cy"), ledger.Row{Kind: "user", Key: "usr_1"})) // of a deleted one
	f.must(f.changing(ledger.Row{Kind: "group", Key: "grp_1", Handle: "ana", Body: json.RawMessage(`{}`)}))
	f.must(f.changing(user("usr_5", ""), user("usr_6", ""))) // none is no handle
	_, rows, err := f.Load(f.Context(), f.tenant)
	f.ok(err)
	got := map[string]string{}
	for _, r := range rows {
		got[r.Key] = r.Handle
	}
	want := map[string]string{"usr_2": "ana", "usr_3": "bo", "usr_4": "cy", "usr_5": "", "usr_6": "", "grp_1": "ana"}
	if d := gocmp.Diff(want, got); d != "" {
		f.Error(d)
	}
	var wg sync.WaitGroup // the loser fails alone
	for i := range 20 {
		wg.Go(func() {
			c := f.changing(user(fmt.Sprint("usr_n", i), fmt.Sprint("new", i)))
			conflict := i%4 == 0
			if conflict {
				c.Rows = append(c.Rows, user(fmt.Sprint("usr_x", i), "ana"))
			}
			_, err := f.Commit(f.Context(), c)
			if (err != nil) != conflict || err != nil && fault.KindOf(err) != fault.Conflict {
				f.Errorf("commit %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// A plan made at an older revision is refused; without rows there is no plan.
func planned(f *fixture) {
	at := func(c ledger.Commit, revision int64) ledger.Commit {
		c.At = revision
		return c
	}
	f.must(at(f.changing(user("usr_1", "ana")), 0))
	f.kind(f.refused(at(f.changing(user("usr_2", "bo")), 0)), fault.Conflict)
	f.must(at(f.changing(user("usr_2", "bo")), 1))
	f.must(f.changing(user("usr_3", "cy"))) // -1: planned at none
	f.must(at(f.commit(), 0))
	var mu sync.Mutex
	var wg sync.WaitGroup
	taken := 0
	for i := range 16 {
		wg.Go(func() {
			_, err := f.Commit(f.Context(), at(f.changing(user(fmt.Sprint("usr_p", i), "")), 3))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		f.Errorf("%d of 16 plans made at the same revision were taken", taken)
	}
}

// Under 16 writers, what a follower sees is every revision, once, in order, and
// it ends where a fresh load stands; a receipt's revision holds its rows.
func contiguous(f *fixture) {
	const writers, each = 16, 40
	done := make(chan struct{})
	follower := newModel()
	go func() {
		defer close(done)
		for n := 0; n < writers*each; {
			wait := f.Notify()
			revs, err := f.Changes(f.Context(), f.tenant, follower.revision, 7)
			if err != nil {
				f.Error(err)
				return
			}
			if len(revs) == 0 {
				select {
				case <-wait:
				case <-f.Context().Done():
					return
				}
			}
			for _, r := range revs {
				if err := follower.apply(r.N, r.Rows); err != nil {
					f.Error(err)
					return
				}
				n += len(r.Rows)
			}
		}
	}()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			last := int64(0)
			for i := range each {
				r, err := f.Commit(f.Context(), f.changing(user(fmt.Sprintf("usr_%d_%d", w, i%9), "")))
				if err != nil || r.Revision <= last {
					f.Errorf("writer %d: revision %d after %d, %v", w, r.Revision, last, err)
					return
				}
				last = r.Revision
			}
		})
	}
	wg.Wait()
	<-done
	f.same(follower)
}

// Any sequence of changes gives the state that a fresh load gives, and the log
// gives it again from any point.
func replay(f *fixture) {
	rnd := rand.New(rand.NewPCG(1, 2))
	want := newModel()
	var halfway *model
	for i := range 120 {
		var rows []ledger.Row
		for _, k := range rnd.Perm(12)[:1+rnd.IntN(4)] {
			r := ledger.Row{Kind: []string{"user", "agent", "tuple", "hop"}[k%4], Key: fmt.Sprint("k", k)}
			if rnd.IntN(4) > 0 {
				r.Body = fmt.Appendf(nil, `{"v":%d}`, i)
				if k%4 < 2 && rnd.IntN(2) == 0 {
					r.Handle = fmt.Sprint("h", rnd.IntN(8))
				}
			}
			rows = append(rows, r)
		}
		receipt, err := f.Commit(f.Context(), f.changing(rows...))
		next := want.clone()
		if apply := next.apply(want.revision+1, rows); apply != nil {
			f.Fatal(apply)
		}
		if taken := next.handleTaken(); taken != "" {
			f.kind(err, fault.Conflict)
			continue
		}
		f.ok(err)
		if want = next; receipt.Revision != want.revision {
			f.Fatalf("commit %d has revision %d, want %d", i, receipt.Revision, want.revision)
		}
		if i == 60 {
			halfway = want.clone()
		}
	}
	f.same(want)
	f.restart()
	f.same(want)
	for _, m := range []*model{newModel(), halfway} {
		for m.revision < want.revision {
			revs, err := f.Changes(f.Context(), f.tenant, m.revision, 9)
			f.ok(err)
			for _, r := range revs {
				f.ok(m.apply(r.N, r.Rows))
			}
		}
		f.same(m)
	}
	if revs, err := f.Changes(f.Context(), f.tenant, want.revision, 9); err != nil || len(revs) != 0 {
		f.Errorf("changes after the latest: %v, %v", revs, err)
	}
	_, err := f.Changes(f.Context(), f.tenant, want.revision+1, 9)
	f.kind(err, fault.Conflict)
}

// Notify wakes for a revision, and not for an entry.
func notify(f *fixture) {
	wait := f.Notify()
	f.must(f.commit())
	select {
	case <-wait:
		f.Error("an entry without rows woke the followers")
	default:
	}
	f.must(f.changing(user("usr_1", "ana")))
	select {
	case <-wait:
	default:
		f.Error("a revision is committed, and the followers were not woken")
	}
}

// Tenants share nothing.
func tenants(f *fixture) {
	second := f.mint.New(principal.Tenant)
	f.ok(f.Init(f.Context(), second, "https://second.example"))
	f.ok(f.Init(f.Context(), second, "https://second.example"))
	f.kind(f.Init(f.Context(), second, "https://other.example"), fault.Conflict)
	m := f.mint.New(principal.Mission)
	f.must(f.changing(user("usr_1", "ana")))
	c := f.changing(user("usr_1", "ana"))
	c.Tenant, c.Bump = second, []principal.UID{m}
	c.Charges = []ledger.Charge{{Head: m, Limit: free(), Calls: 1}}
	if r := f.must(c); r.N != 1 || r.Revision != 1 {
		f.Errorf("first commit of a tenant: %+v", r)
	}
	f.must(f.conditioned(m, 0))
	if h := f.head(m); h.Calls != 0 {
		f.Errorf("the head of the other tenant shows: %+v", h)
	}
	c = f.commit()
	c.Tenant = f.mint.New(principal.Tenant)
	_, err := f.Commit(f.Context(), c)
	f.kind(err, fault.NotFound)
	meta, err := f.Meta(f.Context())
	f.ok(err)
	i := 0 // uids of one millisecond come in no order
	if len(meta.Tenants) == 2 && meta.Tenants[1].ID == second {
		i = 1
	}
	if len(meta.Tenants) != 2 || meta.Tenants[i].ID != second || meta.Tenants[i].Issuer != "https://second.example" || meta.Tenants[i].Revision != 1 {
		f.Errorf("meta %+v", meta)
	}
}

// same fails the test unless a fresh load is what want holds.
func (f *fixture) same(want *model) {
	f.Helper()
	got := newModel()
	revision, rows, err := f.Load(f.Context(), f.tenant)
	f.ok(err)
	f.ok(got.apply(1, rows))
	got.revision = revision
	if d := gocmp.Diff(want.sorted(), got.sorted()); d != "" || got.revision != want.revision {
		f.Errorf("loaded at revision %d, want %d:\n%s", got.revision, want.revision, d)
	}
}

// A model is a tenant's state as a map: what a snapshot must be equal to.
type model struct {
	revision int64
	rows     map[[2]string]ledger.Row
}

func newModel() *model { return &model{rows: map[[2]string]ledger.Row{}} }

func (m *model) apply(n int64, rows []ledger.Row) error {
	if n != m.revision+1 {
		return fmt.Errorf("revision %d after %d", n, m.revision)
	}
	m.revision = n
	for _, r := range rows {
		if r.Body == nil {
			delete(m.rows, [2]string{r.Kind, r.Key})
			continue
		}
		m.rows[[2]string{r.Kind, r.Key}] = r
	}
	return nil
}

func (m *model) clone() *model {
	c := &model{revision: m.revision, rows: make(map[[2]string]ledger.Row, len(m.rows))}
	for k, r := range m.rows {
		c.rows[k] = r
	}
	return c
}

func (m *model) handleTaken() string {
	seen := map[[2]string]bool{}
	for _, r := range m.rows {
		k := [2]string{r.Kind, r.Handle}
		if r.Handle != "" && seen[k] {
			return r.Handle
		}
		seen[k] = true
	}
	return ""
}

func (m *model) sorted() []ledger.Row {
	rows := make([]ledger.Row, 0, len(m.rows))
	for _, r := range m.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b ledger.Row) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key)) })
	return rows
}
