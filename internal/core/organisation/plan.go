package organisation

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Administrators is the handle of the group of those who may do every
// management action. No plan leaves it without a live member.
const Administrators = "administrators"

// A Plan is the difference between a document and a snapshot.
type Plan struct {
	// Rows are the changes, in one revision; none when the document says what is
	// there already.
	Rows []ledger.Row
	// Bump are the heads whose epoch rises with the commit: the tenant's when
	// anything that was there changes other than by growing, and those of the
	// missions whose hops were narrowed. A decision that was computed before
	// cannot commit after.
	Bump []principal.UID
	// Changes say the same for people: who gains and who loses what.
	Changes []Line
}

// NewPlan compares the document d with the snapshot s. shown are the tools that
// each server showed, by its handle, as raw definitions; a server that is pinned
// already, with the same address and credentials, may be absent from it and keeps
// the tools it has. by is who applies: declared keys are recorded as their word,
// and they are not disabled for being absent. mint makes the uids of new objects;
// existing ones, found by handle, keep theirs.
//
// The error is fault.Malformed with Problems as its cause, and names places of
// the document. The spine conditions the commit of the rows on s's revision.
func NewPlan(s *decision.Snapshot, d Document, shown map[string][]json.RawMessage, by principal.UID, now time.Time, mint principal.Minter) (Plan, error) {
	if err := d.Validate(); err != nil {
		return Plan{}, err
	}
	p := &planner{snap: s, doc: d, shown: shown, by: by, now: now.UTC().Truncate(time.Microsecond), mint: mint,
		ids: map[string]principal.UID{}, tools: map[string][]string{}, jkts: map[string]principal.UID{}}
	p.identify()
	p.servers()
	p.people()
	p.agency()
	p.facts()
	p.policies()
	p.withdraw()
	p.governed()
	if err := p.problems.fault(); err != nil {
		return Plan{}, err
	}
	return Plan{Rows: p.rows, Bump: p.bumps(), Changes: p.lines}, nil
}

// A planner is the state of one NewPlan.
type planner struct {
	report
	snap  *decision.Snapshot
	doc   Document
	shown map[string][]json.RawMessage
	by    principal.UID
	now   time.Time
	mint  principal.Minter

	ids   map[string]principal.UID // "user/clinician" → uid, of everything the document names
	tools map[string][]string      // server handle → names of its tools after the plan, sorted
	jkts  map[string]principal.UID // key → who proves themselves with it

	rows     []ledger.Row
	lines    []Line
	narrowed bool                   // something there changed other than by growing
	missions map[principal.UID]bool // whose hops were narrowed
}

// identify gives every object of the document its uid: the one that its handle
// has, else a fresh one.
func (p *planner) identify() {
	name := func(noun string, prefix principal.Prefix, handle string) {
		if id, ok := p.existing(noun, handle); ok {
			p.ids[noun+"/"+handle] = id
		} else {
			p.ids[noun+"/"+handle] = p.mint.New(prefix)
		}
	}
	for _, u := range p.doc.Users {
		name("user", principal.User, u.ID)
	}
	for _, g := range p.doc.Groups {
		name("group", principal.Group, g.ID)
	}
	for _, w := range p.doc.Workloads {
		name("workload", principal.Workload, w.ID)
	}
	for _, b := range p.doc.Blueprints {
		name("blueprint", principal.Blueprint, b.ID)
	}
	for _, a := range p.doc.Agents {
		name("agent", principal.Agent, a.ID)
	}
	for _, s := range p.doc.Servers {
		name("server", principal.Server, s.ID)
	}
}

// existing finds what a handle names in the snapshot.
func (p *planner) existing(noun, handle string) (principal.UID, bool) {
	if noun == "server" {
		s, ok := p.snap.Catalogue.ServerByHandle(handle)
		return s.ID, ok
	}
	return p.snap.Directory.Resolve(noun, handle)
}

// declared reports whether the document names an object.
func (p *planner) declared(noun, handle string) bool {
	_, ok := p.ids[noun+"/"+handle]
	return ok
}

// put appends the row that makes old into now, if they differ. old is nil for a
// new object. It reports whether there was a difference.
func (p *planner) put(kind, key, handle string, old, now any) bool {
	body := encode(now)
	if old != nil && bytes.Equal(encode(old), body) {
		return false
	}
	p.rows = append(p.rows, ledger.Row{Kind: kind, Key: key, Handle: handle, Body: body})
	return true
}

// remove appends the row that deletes an object.
func (p *planner) remove(kind, key, handle string) {
	p.rows = append(p.rows, ledger.Row{Kind: kind, Key: key, Handle: handle})
}

// encode is json.Marshal without its rewriting of <, > and &, so that a tool's
// definition stays what the server showed. What is encoded came from JSON or
// from Go values that always encode; nil would compare unequal and be caught as
// a body that does not apply.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// bumps lists the heads that this plan narrows, in order.
func (p *planner) bumps() []principal.UID {
	heads := slices.Sorted(maps.Keys(p.missions))
	if p.narrowed {
		heads = append(heads, p.snap.Tenant)
	}
	return heads
}

// governed refuses a plan after which nobody is left who may apply the next one.
func (p *planner) governed() {
	group, ok := p.snap.Directory.Resolve("group", Administrators)
	if !ok || len(p.problems) > 0 {
		return
	}
	next := p.snap.Directory
	for _, r := range p.rows {
		var u directory.User
		if r.Kind == "user" && json.Unmarshal(r.Body, &u) == nil {
			next = next.WithUser(u)
		}
	}
	governs := func(d directory.Directory) bool {
		for _, u := range d.Users() {
			if u.State == directory.Active && slices.Contains(u.Groups, group) {
				return true
			}
		}
		return false
	}
	if governs(p.snap.Directory) && !governs(next) {
		p.add("users", "nobody would be left in group %s: the next apply would be refused; keep one live user in it", Administrators)
	}
}
