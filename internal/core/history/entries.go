package history

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Entries returns what log holds of a mission, in index order: every entry of
// it, and every change, made for whatever reason while it ran, that took
// something from it: its context closed, a relation of one of its principals or
// resources removed, something on its chain disabled, revoked or narrowed; and of
// a relation that was taken so, that it was given back. It fails with
// fault.NotFound when the mission has no entry.
//
// It reads the mission and all changes since its first entry.
func Entries(ctx context.Context, log ledger.Log, tenant, mission principal.UID) ([]ledger.Stored, error) {
	found, err := pages(ctx, log, tenant, ledger.Filter{Mission: mission})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "the ledger has no entry of mission %q", mission)
	}
	c := concerning(mission)
	for _, s := range found {
		p, err := read(s)
		if err != nil {
			return nil, err
		}
		c.learn(p, s)
	}
	first := found[0].Leaf.Index
	if first < 0 {
		return found, nil // nothing is sequenced yet
	}
	changes, err := pages(ctx, log, tenant, ledger.Filter{Kind: ledger.Change, After: first})
	if err != nil {
		return nil, err
	}
	for _, s := range changes {
		took, err := c.takes(s)
		if err != nil {
			return nil, err
		}
		if took {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b ledger.Stored) int { return cmp.Compare(place(a), place(b)) })
	return found, nil
}

// place orders entries by index, those without one last.
func place(s ledger.Stored) int64 {
	if s.Leaf.Index < 0 {
		return math.MaxInt64
	}
	return s.Leaf.Index
}

// pages reads all entries that f selects.
func pages(ctx context.Context, log ledger.Log, tenant principal.UID, f ledger.Filter) ([]ledger.Stored, error) {
	var all []ledger.Stored
	seen := f.After
	if seen == 0 {
		seen = -1 // After 0 excludes nothing
	}
	for {
		page, err := log.Entries(ctx, tenant, f)
		if err != nil {
			return nil, err
		}
		last, open := seen, false
		for _, s := range page {
			switch {
			case s.Leaf.Index < 0:
				open = true
			case s.Leaf.Index <= seen:
				continue
			default:
				last = s.Leaf.Index
			}
			all = append(all, s)
		}
		if last == seen || open { // unsequenced entries come last
			return all, nil
		}
		seen, f.After = last, last
	}
}

// A concern is what a mission consists of: whoever changes one of these for the
// worse takes something from it.
type concern struct {
	mission principal.UID
	last    int64     // index at which it was ended
	expiry  time.Time // of the root hop; zero when unknown
	about   map[principal.UID]bool
	objects map[string]bool // resources of its calls, and tools as "srv_…/name"
	ended   map[string]bool // keys of rows that had ended already
}

func concerning(mission principal.UID) *concern {
	return &concern{mission: mission, last: math.MaxInt64, about: map[principal.UID]bool{mission: true},
		objects: map[string]bool{}, ended: map[string]bool{}}
}

// learn adds what an entry of the mission names.
func (c *concern) learn(p payload, s ledger.Stored) {
	for _, uid := range [...]string{s.Leaf.Origin, s.Leaf.Hop, s.Leaf.Server} {
		c.about[principal.UID(uid)] = true
	}
	if s.Leaf.Hop != "" { // then the actor is of the chain, not an administrator
		c.about[principal.UID(s.Leaf.Actor)] = true
	}
	if s.Leaf.Kind == string(ledger.Decision) {
		c.objects[p.Resource] = p.Resource != ""
		c.objects[s.Leaf.Server+"/"+s.Leaf.Action] = true
	}
	for _, h := range p.made(s, c.mission) {
		c.about[h.ID], c.about[h.Delegate], c.about[h.Blueprint] = true, true, true
		if h.Parent == "" {
			c.expiry = h.Expiry
		}
	}
	for _, r := range p.Rows {
		m := body[delegation.Mission](r)
		if r.Kind != "mission" || m.ID != c.mission {
			continue
		}
		c.about[m.Context] = true
		if m.State == delegation.Done || m.State == delegation.Revoked {
			c.last = place(s)
		}
	}
	delete(c.about, "")
}

// takes reports whether the change s, of no mission or another's, took
// something from this one while it ran. It is asked in index order.
func (c *concern) takes(s ledger.Stored) (bool, error) {
	p, err := read(s)
	if err != nil {
		return false, err
	}
	took := false
	for _, r := range p.Rows {
		took = c.taken(r) || took
	}
	over := place(s) >= c.last || !c.expiry.IsZero() && s.Leaf.Time >= c.expiry.UnixMicro()
	return took && !over && s.Leaf.Mission != string(c.mission), nil
}

// taken reports whether r takes something from the mission that it had, or gives
// a relation back that was taken. It is asked once of each row, in index order.
func (c *concern) taken(r ledger.Row) bool {
	switch r.Kind {
	case "tuple":
		object, rest, _ := strings.Cut(r.Key, "#")
		_, subject, _ := strings.Cut(rest, "@")
		was := c.ended[r.Key]
		c.ended[r.Key] = r.Body == nil && (c.objects[object] || c.about[tail(subject)] || c.about[tail(object)])
		return c.ended[r.Key] || was && r.Body != nil
	case "hop": // written again only to narrow or to end it
		return body[delegation.Hop](r).Mission == c.mission
	}
	was := c.ended[r.Key]
	c.ended[r.Key] = ends(r)
	return c.ended[r.Key] && !was && (c.about[principal.UID(r.Key)] || r.Kind == "tool" && c.objects[r.Handle])
}

// tail returns the uid of "user:usr_…" or "group:grp_…#member".
func tail(object string) principal.UID {
	_, id, _ := strings.Cut(object, ":")
	id, _, _ = strings.Cut(id, "#")
	return principal.UID(id)
}

// ends reports whether r, a row of anything but a relation, leaves its object
// able to do less. A hop is written a second time only to narrow or to end it.
func ends(r ledger.Row) bool {
	if r.Body == nil {
		return true
	}
	switch r.Kind {
	case "user":
		return body[directory.User](r).State != directory.Active
	case "agent":
		return body[directory.Agent](r).State != directory.Active
	case "blueprint":
		return body[directory.Blueprint](r).State != directory.Active
	case "context":
		return !body[directory.Context](r).Open
	case "mission":
		return body[delegation.Mission](r).State != delegation.Active
	case "server":
		return body[mapping.Server](r).Revoked
	case "tool":
		return body[mapping.Tool](r).Revoked
	}
	return r.Kind == "hop"
}
