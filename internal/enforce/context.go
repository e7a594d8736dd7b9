package enforce

import (
	"maps"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// OpenContext opens an encounter, a ticket. Opening one that is open changes
// nothing, and is refused with other attributes than it has; opening one that was
// closed makes another, so that missions of the first stay closed.
type OpenContext struct {
	Type, Handle string
	Attributes   map[string]string
}

func (m OpenContext) about(snap *decision.Snapshot) (target, error) {
	if m.Type == "" || m.Handle == "" || strings.ContainsAny(m.Type+m.Handle, "/ \t\n") {
		return target{}, fault.New(fault.Malformed, "a context has a type and an id without spaces or slashes")
	}
	return organisationTarget("context.open", snap), nil
}

func (m OpenContext) plan(at *moment) (plan, error) {
	handle := m.Type + "/" + m.Handle
	var rows []ledger.Row
	if id, ok := at.snap.Directory.Resolve("context", handle); ok {
		old, _ := at.snap.Directory.Context(id)
		if old.Open && !maps.Equal(old.Attributes, m.Attributes) {
			return plan{}, fault.New(fault.Conflict, "%s %s is open, with other attributes; missions in it rest on those", m.Type, m.Handle).
				WithHint("close it first, which ends its missions, and open it anew")
		}
		if old.Open {
			return plan{objects: map[string]principal.UID{"context": id}}, nil
		}
		rows = append(rows, row("context", id, "", old)) // gives its handle up
	}
	c := directory.Context{ID: at.mint.New(principal.Context), Type: m.Type, Handle: m.Handle, Attributes: m.Attributes, Open: true}
	return plan{rows: append(rows, row("context", c.ID, handle, c)), objects: map[string]principal.UID{"context": c.ID},
		lines: []string{m.Type + " " + m.Handle + " was opened"}}, nil
}

// CloseContext closes a context; every mission in it is over with this commit.
type CloseContext struct{ Type, Handle string }

func (m CloseContext) about(snap *decision.Snapshot) (target, error) {
	if _, ok := snap.Directory.Resolve("context", m.Type+"/"+m.Handle); !ok {
		return target{}, fault.New(fault.NotFound, "there is no %s %s", m.Type, m.Handle)
	}
	return organisationTarget("context.close", snap), nil
}

func (m CloseContext) plan(at *moment) (plan, error) {
	id, _ := at.snap.Directory.Resolve("context", m.Type+"/"+m.Handle)
	c, _ := at.snap.Directory.Context(id)
	if !c.Open {
		return plan{objects: map[string]principal.UID{"context": id}}, nil
	}
	c.Open = false
	p := plan{rows: []ledger.Row{row("context", id, m.Type+"/"+m.Handle, c)}, objects: map[string]principal.UID{"context": id},
		lines: []string{m.Type + " " + m.Handle + " was closed"}}
	p.bump = at.snap.Missions.ByContext(id)
	return p, nil
}
