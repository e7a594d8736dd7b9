package organisation

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// maxTools bounds what one server may show.
const maxTools = 2000

// NeedsProbe returns the servers of a document as they should be asked for their
// tools before it is planned: all of them, because an apply is when what a server
// shows is looked at and accepted. The caller may go on without the answer of a
// server that is pinned and unchanged; NewPlan refuses to go on without any
// other's.
//
// A server that is new, or has another address or other credentials than in
// force, has a provisional uid, made of its endpoint, so that no connection to
// anything else is ever taken for one to it.
func NeedsProbe(s *decision.Snapshot, d Document) []mapping.Server {
	var out []mapping.Server
	for _, srv := range d.Servers {
		next := endpoint(srv)
		if old, ok := s.Catalogue.ServerByHandle(srv.ID); ok && sameEndpoint(old, next) {
			next.ID = old.ID
		} else {
			sum := sha256.Sum256(encode(next))
			next.ID = principal.Make(principal.Server, time.UnixMilli(0), [10]byte(sum[:10]))
		}
		out = append(out, next)
	}
	return out
}

// endpoint is where a server of the document is and how it is reached.
func endpoint(s Server) mapping.Server {
	return mapping.Server{Handle: s.ID, URL: s.URL, Command: s.Stdio, Dir: s.Dir, Env: s.Env, Headers: s.Headers}
}

func sameEndpoint(a, b mapping.Server) bool {
	strip := func(s mapping.Server) string {
		return string(encode(mapping.Server{Handle: s.Handle, URL: s.URL, Command: s.Command, Dir: s.Dir, Env: s.Env, Headers: s.Headers}))
	}
	return strip(a) == strip(b)
}

// servers plans servers and tools. Tools come first of everything, because
// authorities expand against them.
func (p *planner) servers() {
	frames := map[int]mapping.Server{}
	for i, s := range p.doc.Servers {
		id, place := p.ids["server/"+s.ID], at("servers", i)
		old, had := p.snap.Catalogue.Server(id)
		next := endpoint(s)
		next.ID, next.Revoked = id, old.Revoked
		frames[i] = next
		p.pin(place, s, id, had && sameEndpoint(old, next))
	}
	for i, s := range p.doc.Servers {
		next := frames[i]
		for typ, c := range s.Contexts {
			if next.Contexts == nil {
				next.Contexts = map[string]mapping.Frame{}
			}
			next.Contexts[typ] = p.expand(at("servers", i)+".contexts."+typ+".frame", c.Frame, s.ID)
		}
		old, had := p.snap.Catalogue.Server(next.ID)
		if p.put("server", string(next.ID), s.ID, present(old, had), next) {
			p.line(verb(had), "server", s.ID, where(next))
			p.narrowed = p.narrowed || had
		}
	}
	for _, old := range sorted(p.snap.Catalogue.Servers()) {
		if p.declared("server", old.Handle) {
			continue
		}
		for _, t := range p.snap.Catalogue.ToolsOf(old.ID) {
			p.remove("tool", string(t.ID), toolHandle(t))
		}
		p.remove("server", string(old.ID), old.Handle)
		p.line(removed, "server", old.Handle, "with all its tools")
		p.narrowed = true
	}
}

// where says how a server is reached, without its credentials.
func where(s mapping.Server) string {
	if s.URL != "" {
		return s.URL
	}
	return strings.Join(s.Command, " ")
}

func toolHandle(t mapping.Tool) string { return string(t.Server) + "/" + t.Name }

// pin plans the tools of one server: those that it shows become what agents are
// listed, byte for byte, until the next apply.
func (p *planner) pin(place string, s Server, id principal.UID, unchanged bool) {
	shown, asked := p.shown[s.ID]
	if !asked {
		if !unchanged {
			p.add(place, "server %s was not asked which tools it has", s.ID)
			return
		}
		for _, t := range p.snap.Catalogue.ToolsOf(id) {
			shown = append(shown, t.Definition)
		}
	}
	if len(shown) > maxTools {
		p.add(place, "server %s shows %d tools; the bound is %d", s.ID, len(shown), maxTools)
		return
	}
	now := map[string]bool{}
	for _, def := range shown {
		name, err := mapping.NameOf(def)
		if err != nil {
			text, _ := fault.Safe(err)
			p.add(place, "server %s: %s", s.ID, text)
			return
		}
		if now[name] {
			p.add(place, "server %s shows two tools called %s", s.ID, name)
			return
		}
		now[name] = true
		p.tool(place, s, id, name, def)
	}
	p.tools[s.ID] = sortedKeys(now)
	for _, name := range sortedKeys(s.Tools) {
		if !slices.ContainsFunc(p.tools[s.ID], func(tool string) bool { return matches(name, tool) }) {
			p.noTool(place+".tools."+name, s.ID, name)
		}
	}
	for _, old := range p.snap.Catalogue.ToolsOf(id) {
		if !now[old.Name] {
			p.remove("tool", string(old.ID), toolHandle(old))
			p.line(removed, "tool", s.ID+"."+old.Name, "the server does not show it any more")
			p.narrowed = true
		}
	}
}

func (p *planner) tool(place string, s Server, server principal.UID, name string, def json.RawMessage) {
	config, err := configOf(s.Tools, name)
	if err != nil {
		p.add(place+".tools", "%v", err)
		return
	}
	old, had := p.snap.Catalogue.ToolByName(server, name)
	next := mapping.Tool{ID: old.ID, Server: server, Name: name, Definition: def, Pin: mapping.Pin(def),
		Effect: config.Effect, Resource: config.Resource, Cost: config.Cost, Rows: config.Rows, Revoked: old.Revoked}
	if next.Effect == "" {
		next.Effect = mapping.EffectOf(def)
	}
	if !had {
		next.ID = p.mint.New(principal.Tool)
	} else if old.Pin == next.Pin {
		next.Definition = old.Definition // the same in another spelling is no change
	}
	if !p.put("tool", string(next.ID), toolHandle(next), present(old, had), next) {
		return
	}
	p.narrowed = p.narrowed || had
	note := string(next.Effect)
	if next.Resource != "" {
		note += " on " + string(next.Resource)
	}
	if had && old.Pin != next.Pin {
		note += "; the server describes it differently than before"
	}
	p.line(verb(had), "tool", s.ID+"."+name, note)
}
