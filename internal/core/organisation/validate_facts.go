package organisation

import (
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/decision"
)

// facts checks the model, the tuples' principals and the policies' names.
func (c *checker) facts() {
	if c.d.Model != nil {
		c.err("model", c.d.Model.Validate())
	} else if len(c.d.Tuples) > 0 {
		c.add("tuples", "tuples need a model: it says which relations there are")
	}
	seen := map[string]int{}
	for i, t := range c.d.Tuples {
		if first, twice := seen[t.String()]; twice {
			c.add(at("tuples", i), "%s is declared twice, first in %s", t, at("tuples", first))
			continue
		}
		seen[t.String()] = i
		if strings.HasPrefix(t.Object, "group:") && t.Relation == "member" {
			c.add(at("tuples", i), "%s: who is in a group is said once, in the groups of users and workloads", t)
			continue
		}
		c.principalOf(at("tuples", i)+".object", t.Object)
		c.principalOf(at("tuples", i)+".subject", t.Subject)
	}
	for i, p := range c.d.Policies {
		if p.Name == "" {
			c.add(at("policies", i), "needs a name: where its text came from")
		}
	}
}

// principalOf checks the handle in "user:clinician" or "group:staff#member";
// other types are free.
func (c *checker) principalOf(place, s string) {
	object, _, _ := strings.Cut(s, "#")
	typ, id, ok := strings.Cut(object, ":")
	if !ok {
		c.add(place, "%q is not type:id", s)
		return
	}
	if isPrincipal(typ) && id != "*" {
		c.ref(place, typ, id)
	}
}

// isPrincipal says whether objects of a relation type are principals, whom
// tuples name by uid.
func isPrincipal(typ string) bool {
	switch typ {
	case "user", "agent", "workload", "group":
		return true
	}
	return false
}

func (c *checker) tests() {
	for i, t := range c.d.Tests {
		place := at("tests", i)
		if len(t.Can) < 2 || len(t.Can) > 3 {
			c.add(place+".can", `write [agent:a, server.tool] or [agent:a, server.tool, "type:id"]`)
			continue
		}
		c.typed(at(place+".can", 0), t.Can[0], "agent")
		server, tool, ok := strings.Cut(t.Can[1], ".")
		if !ok || tool == "" {
			c.add(at(place+".can", 1), "%q is not server.tool", t.Can[1])
		} else {
			c.ref(at(place+".can", 1), "server", server)
		}
		if len(t.Can) == 3 && strings.Index(t.Can[2], ":") < 1 {
			c.add(at(place+".can", 2), "%q is not type:id", t.Can[2])
		}
		if t.For == "" {
			c.add(place, "needs for: the user whose mission it would be, as in for: user:me")
		} else {
			c.typed(place+".for", t.For, "user")
		}
		switch t.Expect {
		case decision.Allow.String(), decision.Challenge.String(), decision.Deny.String():
		default:
			c.add(place+".expect", "%q is not an outcome: allow, deny or challenge", t.Expect)
		}
		if t.Link != "" {
			c.typed(place+".link", t.Link, "agent", "user")
		}
		if (t.Link != "" || t.Stage != "") && t.Expect == decision.Allow.String() {
			c.add(place, "link and stage say what refuses; this test expects allow")
		}
		switch s := decision.Stage(t.Stage); s {
		case "", decision.Standing, decision.Mandate, decision.Ceiling, decision.Entitlement, decision.Prohibition, decision.Signal:
		default:
			c.add(place+".stage", "%q is not a stage: standing, mandate, ceiling, entitlement, prohibition or signal", t.Stage)
		}
		if t.Context != nil {
			_, err := typeOf(t.Context, c.contexts)
			c.err(place+".context", err)
		}
	}
}

// typed checks a reference that carries its type.
func (c *checker) typed(place, s string, nouns ...string) {
	typ, id, ok := strings.Cut(s, ":")
	if !ok || !slices.Contains(nouns, typ) {
		c.add(place, "%q: write %s, with its type", s, nouns[0]+":id")
		return
	}
	c.ref(place, typ, id)
}
