package organisation

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/proof/authority"
)

var (
	contextText = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	secretName  = regexp.MustCompile(`(?i)(auth|cookie|credential|key|pass|secret|session|token)`)
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	webAddress  = regexp.MustCompile(`^(https?)://([^/?#@\s]+)([/?][^#\s]*)?$`)
	// In JSON, only text can hold a brace, a word and a brace.
	placeholder = regexp.MustCompile(`\{([^{}":,]+)\}`)
	loopback    = regexp.MustCompile(`^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?$`)
)

// authority checks the items of a set by handles. server, where it is not "",
// is the only one that they may name and what they mean without one.
func (c *checker) authority(place string, set authority.Set, server string) {
	for i, item := range set {
		place := at(place, i)
		switch item.Type {
		case "", authority.MCPTool:
			switch {
			case item.Server == "" && server == "":
				c.add(place, "needs a server: without one an item means nothing, and never every server")
			case item.Server != "" && server != "" && item.Server != server:
				c.add(place+".server", "a frame speaks of its own server only, %s", server)
			case item.Server != "":
				c.ref(place+".server", "server", item.Server)
			}
		default:
			for j, a := range item.Actions {
				if isPattern(a) {
					c.add(at(place+".actions", j), "%s: patterns are for tools, which a server shows; an authority of type %s names its actions", a, item.Type)
				}
			}
		}
		if len(item.Actions) == 0 {
			c.add(place, "needs actions: without any it permits nothing")
		}
		named := item
		named.Type, named.Actions = cmpOr(item.Type, authority.MCPTool), []string{"a"}
		named.Server = cmpOr(item.Server, cmpOr(server, "a"))
		for _, m := range placeholder.FindAllStringSubmatch(string(encode(named)), -1) {
			switch name, ok := strings.CutPrefix(m[1], "context."); {
			case server == "" && ok:
				c.add(place, "%s stands for nothing here: only the frame of a context is filled in", m[0])
			case server != "" && (!ok || name == ""):
				c.add(place, "%s is not a placeholder of a frame: write {context.id}, or {context.name} for an attribute", m[0])
			}
		}
		if err := named.Validate(); err != nil {
			if flaw, ok := errors.AsType[*authority.Error](err); ok {
				c.add(place+flaw.Path, "%s", flaw.Reason)
			} else {
				c.add(place, "%v", err)
			}
		}
	}
}

func cmpOr[T ~string](a, b T) T {
	if a != "" {
		return a
	}
	return b
}

func (c *checker) servers() {
	for i, s := range c.d.Servers {
		place := at("servers", i)
		c.endpoint(place, s)
		c.secrets(place+".env", s.Env, envName)
		c.secrets(place+".headers", s.Headers, headerName)
		for _, name := range slices.Sorted(maps.Keys(s.Tools)) {
			t, place := s.Tools[name], place+".tools."+name
			if t.Effect != "" && !t.Effect.Known() {
				c.add(place+".effect", "%q is not an effect: read, write, destructive, egress, payment or identity", t.Effect)
			}
			c.err(place+".resource", t.Resource.Validate())
			c.err(place+".cost", t.Cost.Validate())
			c.err(place+".rows", t.Rows.Validate())
		}
		for _, typ := range slices.Sorted(maps.Keys(s.Contexts)) {
			c.contexts[typ] = true
			if !contextText.MatchString(typ) {
				c.add(place+".contexts."+typ, "%q cannot name a type of context: a-z, 0-9 and _, beginning with a letter", typ)
			}
			c.authority(place+".contexts."+typ+".frame", s.Contexts[typ].Frame, s.ID)
		}
	}
}

func (c *checker) endpoint(place string, s Server) {
	switch {
	case s.URL == "" && len(s.Stdio) == 0:
		c.add(place, "server %s needs a url, or a command in stdio", s.ID)
	case s.URL != "" && len(s.Stdio) > 0:
		c.add(place, "server %s has both a url and a command; it is one or the other", s.ID)
	case s.URL != "":
		m := webAddress.FindStringSubmatch(s.URL)
		switch {
		case m == nil:
			c.add(place+".url", "%q is not an http or https address (no user, no fragment)", s.URL)
		case m[1] == "http" && len(s.Headers) > 0 && !loopback.MatchString(m[2]):
			c.add(place+".url", "headers would travel in the clear to %s; use https, or leave them out", m[2])
		}
		if s.Dir != "" || len(s.Env) > 0 {
			c.add(place, "dir and env are for a command; server %s has a url", s.ID)
		}
	default:
		if s.Dir != "" && !strings.HasPrefix(s.Dir, "/") {
			c.add(place+".dir", "%s is not an absolute path", s.Dir)
		}
		if slices.ContainsFunc(s.Stdio, func(a string) bool { return strings.ContainsRune(a, 0) }) || s.Stdio[0] == "" {
			c.add(place+".stdio", "a command begins with a program, and no part of it holds a NUL")
		}
		if len(s.Headers) > 0 {
			c.add(place+".headers", "headers are for a url; server %s is a command, which takes env", s.ID)
		}
	}
}

func (c *checker) secrets(place string, secrets map[string]mapping.Secret, name *regexp.Regexp) {
	for _, k := range slices.Sorted(maps.Keys(secrets)) {
		s, place := secrets[k], place+"."+k
		set := 0
		for _, v := range []string{s.Value, s.FromEnv, s.FromFile} {
			if v != "" {
				set++
			}
		}
		switch {
		case !name.MatchString(k):
			c.add(place, "%q cannot be the name of one", k)
		case set != 1:
			c.add(place, "write exactly one of env, file and value")
		case s.Value != "" && secretName.MatchString(k):
			c.add(place, "%s looks like a secret, and a secret is never written down here; use {env: NAME} or {file: path}", k)
		case s.FromFile != "" && !strings.HasPrefix(s.FromFile, "/"):
			c.add(place, "%s is not an absolute path", s.FromFile)
		}
	}
}
