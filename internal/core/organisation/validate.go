package organisation

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

var (
	handleText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}$`)
	// A server's handle is a segment of a URL, and what stands before the first
	// dot of an action.
	serverText = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
)

// Validate says everything that is wrong with d by itself: names, references,
// owners who are not live people of the document, values that are none of their
// kind. Its error is fault.Malformed with Problems as its cause. What depends on
// the tools that servers show and on what is in force already is Plan's.
func (d Document) Validate() error {
	c := checker{d: d, ids: map[string]map[string]int{}, contexts: map[string]bool{}}
	c.names()
	c.users()
	c.workloads()
	c.blueprints()
	c.agents()
	c.servers()
	c.facts()
	c.tests()
	return c.problems.fault()
}

// A checker is the state of one Validate.
type checker struct {
	report
	d   Document
	ids map[string]map[string]int // noun → handle → index
	jkt map[string]string         // key → who has it
	// contexts are the types of context that some server maps.
	contexts map[string]bool
}

// names collects the handles and refuses those that are none or come twice.
func (c *checker) names() {
	collect := func(noun, list string, n int, id func(int) string) {
		c.ids[noun] = map[string]int{}
		for i := range n {
			h, place := id(i), at(list, i)+".id"
			ok := handleText.MatchString(h)
			if noun == "server" {
				ok = serverText.MatchString(h)
			}
			_, uid := principal.Parse(h)
			switch first, twice := c.ids[noun][h]; {
			case h == "":
				c.add(at(list, i), "needs an id")
			case strings.HasPrefix(h, noun+":"):
				c.add(place, "write %s: an id stands without its type here", strings.TrimPrefix(h, noun+":"))
			case noun == "server" && !ok:
				c.add(place, "%q cannot name a server: 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit", h)
			case !ok:
				c.add(place, "%q cannot be an id: 1 to 63 letters, digits and . _ @ + -, beginning with a letter or digit", h)
			case uid == nil:
				c.add(place, "%s is a uid; an id is a name that people chose", h)
			case twice:
				c.add(place, "%s %s is declared twice, first in %s", noun, h, at(list, first))
			case noun == "server" && reservedServer(h):
				c.add(place, "%s cannot name a server: actions that begin with it are Ambit's own", h)
			default:
				c.ids[noun][h] = i
			}
		}
	}
	d := c.d
	collect("user", "users", len(d.Users), func(i int) string { return d.Users[i].ID })
	collect("group", "groups", len(d.Groups), func(i int) string { return d.Groups[i].ID })
	collect("workload", "workloads", len(d.Workloads), func(i int) string { return d.Workloads[i].ID })
	collect("blueprint", "blueprints", len(d.Blueprints), func(i int) string { return d.Blueprints[i].ID })
	collect("agent", "agents", len(d.Agents), func(i int) string { return d.Agents[i].ID })
	collect("server", "servers", len(d.Servers), func(i int) string { return d.Servers[i].ID })
}

// ref checks that a handle names something, and returns whether it does.
func (c *checker) ref(place, noun, handle string) bool {
	if _, ok := c.ids[noun][handle]; ok {
		return true
	}
	if bare, typed := strings.CutPrefix(handle, noun+":"); typed {
		c.add(place, "write %s: the field says that it is a %s", bare, noun)
		return false
	}
	c.add(place, "there is no %s %q in this file%s", noun, handle, didYouMean(handle, c.known(noun)))
	return false
}

func (c *checker) known(noun string) []string { return slices.Sorted(maps.Keys(c.ids[noun])) }

// owner checks the owner invariant: whatever can act has a live human owner.
func (c *checker) owner(place, what, handle string, disabled bool) {
	if handle == "" {
		c.add(place, "%s needs an owner: the person who answers for it", what)
		return
	}
	if c.ref(place, "user", handle) && c.d.Users[c.ids["user"][handle]].Disabled && !disabled {
		c.add(place, "%s is owned by %s, who is disabled; name a live owner, or disable it too", what, handle)
	}
}

func (c *checker) groups(place string, groups []string) {
	for i, g := range groups {
		c.ref(at(place+".groups", i), "group", g)
	}
}

func (c *checker) key(place, who string, key json.RawMessage) {
	if len(key) == 0 {
		return
	}
	jkt, err := proof.Thumbprint(key)
	if err != nil {
		c.add(place+".key", "this is not a public P-256 key as JWK: %v", err)
		return
	}
	if other, twice := c.jkt[jkt]; twice {
		c.add(place+".key", "this is also the key of %s; a key proves one principal", other)
		return
	}
	if c.jkt == nil {
		c.jkt = map[string]string{}
	}
	c.jkt[jkt] = who
}

func (c *checker) users() {
	for i, u := range c.d.Users {
		place := at("users", i)
		c.groups(place, u.Groups)
		c.key(place, "user:"+u.ID, u.Key)
		if u.Manager == "" || !c.ref(place+".manager", "user", u.Manager) {
			continue
		}
		for boss, steps := u.Manager, 0; boss != "" && steps <= len(c.d.Users); steps++ {
			if boss == u.ID {
				c.add(place+".manager", "%s is their own manager by this chain", u.ID)
				break
			}
			j, ok := c.ids["user"][boss]
			if !ok {
				break
			}
			boss = c.d.Users[j].Manager
		}
	}
}

func (c *checker) workloads() {
	for i, w := range c.d.Workloads {
		place := at("workloads", i)
		c.owner(place+".owner", "workload "+w.ID, w.Owner, w.Disabled)
		c.groups(place, w.Groups)
		c.key(place, "workload:"+w.ID, w.Key)
	}
}

func (c *checker) blueprints() {
	for i, b := range c.d.Blueprints {
		place := at("blueprints", i)
		c.owner(place+".owner", "blueprint "+b.ID, b.Owner, b.Disabled)
		if strings.TrimSpace(b.Purpose) == "" {
			c.add(place+".purpose", "blueprint %s needs a purpose: one line that says what its agents are for", b.ID)
		}
		switch e := directory.Entitlement(b.Entitlement); e {
		case directory.DelegatedOnly, directory.Own:
		default:
			c.add(place+".entitlement", "%q is not an entitlement: write delegated (acts only with what a person hands it) or own (also on its own account)", e)
		}
		c.authority(place+".ceiling", b.Ceiling, "")
		c.authority(place+".requestable", b.Requestable, "")
	}
}

func (c *checker) agents() {
	for i, a := range c.d.Agents {
		place := at("agents", i)
		c.key(place, "agent:"+a.ID, a.Key)
		if !c.ref(place+".blueprint", "blueprint", a.Blueprint) {
			continue
		}
		if a.Owner != "" {
			c.owner(place+".owner", "agent "+a.ID, a.Owner, a.Disabled)
		} else if owner := c.d.Blueprints[c.ids["blueprint"][a.Blueprint]].Owner; c.disabled(owner) && !a.Disabled {
			c.add(place, "agent %s is owned by %s (of its blueprint), who is disabled; name a live owner, or disable it too", a.ID, owner)
		}
	}
}

func (c *checker) disabled(user string) bool {
	i, ok := c.ids["user"][user]
	return ok && c.d.Users[i].Disabled
}

func (c *checker) err(place string, err error) {
	if err != nil {
		text := safe(err)
		if fault.KindOf(err) == fault.Internal {
			text = err.Error() // the plain errors of mapping's Validate
		}
		c.add(place, "%s", text)
	}
}
