package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A batch is what one SQL transaction does: the commits that held, one after
// the other, as if each had been alone. It is cleared and used again.
type batch struct {
	heads   map[headKey]headRow // every head they name, as the commits so far left it
	tenants map[principal.UID]*tenantWork
	once    map[onceKey]bool // presented before
	touched []touch          // by the commit at hand
	entries []any            // arguments of the INSERTs
	onces   []any
	keys    []headKey
}

// A tenantWork is a tenantRow and what the batch adds to it.
type tenantWork struct {
	tenantRow
	n       int64 // of the last entry kept
	prev    string
	changed bool // takes a revision
	log     []ledger.Row
}

// latest returns the revision that the tenant has after the batch so far.
func (t *tenantWork) latest() int64 {
	if t.changed {
		return t.revision + 1
	}
	return t.revision
}

type touch struct {
	key  headKey
	head headRow
}

type onceKey struct {
	tenant principal.UID
	key    string
}

// write applies reqs in their order. A commit that may not be made leaves its
// fault in its request and nothing in the transaction.
func (b *batch) write(ctx context.Context, w *writer, reqs []*request) error {
	b.reset()
	if err := b.load(ctx, w, reqs); err != nil {
		return err
	}
	for _, r := range reqs {
		r.err, r.receipt = nil, ledger.Receipt{}
		err := b.apply(ctx, w, r)
		if err != nil && !isFault(err) {
			return err
		}
		r.err = err
	}
	return b.flush(ctx, w)
}

func (b *batch) reset() {
	if b.heads == nil {
		*b = batch{heads: map[headKey]headRow{}, tenants: map[principal.UID]*tenantWork{}, once: map[onceKey]bool{}}
	}
	clear(b.heads)
	clear(b.tenants)
	clear(b.once)
	clear(b.entries)
	clear(b.onces)
	b.entries, b.onces, b.keys = b.entries[:0], b.onces[:0], b.keys[:0]
}

// load puts every head that the commits name into b.heads, from memory or from
// the disk, and into b.once which of their once-keys were presented before.
func (b *batch) load(ctx context.Context, w *writer, reqs []*request) error {
	missing, presented := map[principal.UID][]any{}, map[principal.UID][]any{}
	w.memory.mu.RLock()
	want := func(tenant, id principal.UID) {
		k := headKey{tenant, id}
		if _, ok := b.heads[k]; ok {
			return
		}
		h, ok := w.memory.heads[k]
		if !ok {
			missing[tenant] = append(missing[tenant], string(id))
		}
		b.heads[k] = h
	}
	for _, r := range reqs {
		c := &r.commit
		for i := range c.Conditions {
			want(c.Tenant, c.Conditions[i].Head)
		}
		for i := range c.Charges {
			want(c.Tenant, c.Charges[i].Head)
		}
		for _, id := range c.Bump {
			want(c.Tenant, id)
		}
		for i := range c.Once {
			presented[c.Tenant] = append(presented[c.Tenant], c.Once[i].Key)
		}
	}
	w.memory.mu.RUnlock()
	for tenant, ids := range missing {
		if err := w.loadHeads(ctx, tenant, ids, b.heads); err != nil {
			return err
		}
	}
	for tenant, keys := range presented {
		if err := w.loadOnce(ctx, tenant, keys, b.once); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the commit of r part of the batch, or returns why it may not be.
func (b *batch) apply(ctx context.Context, w *writer, r *request) error {
	c := &r.commit
	t, err := b.tenant(w, c.Tenant)
	if err != nil {
		return err
	}
	if c.At >= 0 && len(c.Rows) > 0 && t.latest() > c.At {
		return fault.New(fault.Conflict, "planned at revision %d, but the tenant is at revision %d", c.At, t.latest()).
			WithHint("plan again on the present state")
	}
	for _, cond := range c.Conditions {
		if h := b.heads[headKey{c.Tenant, cond.Head}]; h.Epoch > cond.Epoch {
			return fault.Wrap(fault.Conflict, ledger.ErrMoved, "%s was narrowed or ended at revision %d, after revision %d that this was decided at",
				cond.Head, h.Epoch, cond.Epoch)
		}
	}
	b.touched = b.touched[:0]
	for _, ch := range c.Charges {
		at := b.touch(headKey{c.Tenant, ch.Head})
		if b.touched[at].head.Head, err = charge(b.touched[at].head.Head, ch, c.Entry.Time); err != nil {
			return err
		}
	}
	for i, o := range c.Once {
		twice := slices.ContainsFunc(c.Once[:i], func(p ledger.Once) bool { return p.Key == o.Key })
		if twice || b.once[onceKey{c.Tenant, o.Key}] {
			return fault.New(fault.Unauthenticated, "this token or proof was presented before; each is good for one use").
				WithHint("make a fresh one, with a new jti, for every request")
		}
	}
	revision := t.latest()
	if len(c.Rows) > 0 || len(c.Bump) > 0 {
		revision = t.revision + 1
	}
	if len(c.Rows) > 0 {
		if err := w.writeRows(ctx, c, revision); err != nil {
			return err
		}
	}
	b.keep(w, t, r, revision)
	return nil
}

// keep takes up a commit that holds. Nothing in it can fail.
func (b *batch) keep(w *writer, t *tenantWork, r *request, revision int64) {
	c := &r.commit
	if len(c.Rows) > 0 || len(c.Bump) > 0 {
		t.changed = true
		t.log = append(t.log, c.Rows...)
	}
	if n := len(c.Charges); n > 0 {
		r.receipt.Head = make(map[principal.UID]ledger.Head, n)
	}
	charged := len(b.touched)
	for _, id := range c.Bump {
		at := b.touch(headKey{c.Tenant, id})
		b.touched[at].head.Epoch = revision
	}
	for i, x := range b.touched {
		x.head.stored, x.head.dirty = true, true
		b.heads[x.key] = x.head
		if i < charged {
			r.receipt.Head[x.key.id] = x.head.Head
		}
	}
	for _, o := range c.Once {
		b.once[onceKey{c.Tenant, o.Key}] = true
		b.onces = append(b.onces, string(c.Tenant), o.Key, o.Expiry.UnixMicro())
	}
	e := &c.Entry
	draft, hash := ledger.Draft(*e, string(c.Tenant), w.name, w.boot, t.n+1, t.prev, r.digest)
	t.n, t.prev = t.n+1, hash
	payload := []byte(e.Payload)
	if payload == nil {
		payload = []byte{}
	}
	b.entries = append(b.entries, string(c.Tenant), t.n, string(e.ID), string(e.Kind), string(e.Mission), string(e.Run), draft, payload, e.Salt[:])
	r.receipt.Revision, r.receipt.N = revision, t.n
}

// flush writes what was kept. The revision log and the revision come last, so
// that a store with several writers holds the tenant's row only while it commits
// and commits in the order of revisions.
func (b *batch) flush(ctx context.Context, w *writer) error {
	if err := b.flushHeads(ctx, w); err != nil {
		return err
	}
	if err := w.insert(ctx, &w.sql.once, b.onces); err != nil {
		return err
	}
	if len(b.onces) > 0 {
		if err := w.forgetOnce(ctx, 2*len(b.onces)/3); err != nil {
			return err
		}
	}
	if err := w.insert(ctx, &w.sql.entry, b.entries); err != nil {
		return err
	}
	for id, t := range b.tenants {
		if t.n == t.tenantRow.n {
			continue // no commit of it held
		}
		if err := w.exec(ctx, chainSQL, string(id), t.n, t.prev); err != nil {
			return err
		}
		if !t.changed {
			continue
		}
		if err := w.logRevision(ctx, id, t); err != nil {
			return err
		}
	}
	return nil
}

// flushHeads writes the heads that changed, in the order of their keys: the
// order in which every writer must lock them.
func (b *batch) flushHeads(ctx context.Context, w *writer) error {
	for k, h := range b.heads {
		if h.dirty {
			b.keys = append(b.keys, k)
		}
	}
	slices.SortFunc(b.keys, func(x, y headKey) int {
		return cmp.Or(cmp.Compare(x.tenant, y.tenant), cmp.Compare(x.id, y.id))
	})
	args := w.args[:0]
	for _, k := range b.keys {
		h := b.heads[k]
		args = append(args, string(k.tenant), string(k.id), h.Epoch, h.Calls, h.Cost, h.Head.Rows, h.Children, packRate(h.Rate))
	}
	w.args = args
	return w.insert(ctx, &w.sql.head, args)
}

func (b *batch) tenant(w *writer, id principal.UID) (*tenantWork, error) {
	if t, ok := b.tenants[id]; ok {
		return t, nil
	}
	row, ok := w.memory.tenant(id)
	if !ok {
		return nil, errTenant(id)
	}
	t := &tenantWork{tenantRow: row, n: row.n, prev: row.prev}
	b.tenants[id] = t
	return t, nil
}

// touch returns the place in b.touched of the head that the commit at hand
// changes.
func (b *batch) touch(k headKey) int {
	for i := range b.touched {
		if b.touched[i].key == k {
			return i
		}
	}
	b.touched = append(b.touched, touch{k, b.heads[k]})
	return len(b.touched) - 1
}
