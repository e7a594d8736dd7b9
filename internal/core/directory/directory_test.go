package directory

import (
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/principal"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func id(p principal.Prefix, n byte) principal.UID {
	return principal.Make(p, now, [10]byte{9: n})
}

// world is one owner, one blueprint, one agent, one workload.
func world() (Directory, principal.UID, principal.UID, principal.UID, principal.UID) {
	owner, blueprint, agent, workload := id(principal.User, 1), id(principal.Blueprint, 2), id(principal.Agent, 3), id(principal.Workload, 4)
	var d Directory
	d = d.WithUser(User{ID: owner, Handle: "lead", State: Active})
	d = d.WithBlueprint(Blueprint{ID: blueprint, Handle: "assistant", Owner: owner, State: Active})
	d = d.WithAgent(Agent{ID: agent, Handle: "a", Blueprint: blueprint, Owner: owner, State: Active})
	d = d.WithWorkload(Workload{ID: workload, Handle: "feed", Owner: owner, State: Active})
	return d, owner, blueprint, agent, workload
}

// TestStanding: whatever takes the accountable human away takes the agent with
// it, and a state that was never set is not live.
func TestStanding(t *testing.T) {
	d, owner, blueprint, agent, workload := world()
	for _, who := range []principal.UID{owner, agent, workload} {
		if why := d.Standing(who, now); why != "" {
			t.Fatalf("%s: %s", who, why)
		}
	}
	change := map[string]func() (Directory, principal.UID, string){
		"owner disabled": func() (Directory, principal.UID, string) {
			return d.WithUser(User{ID: owner, Handle: "lead", State: Disabled}), agent, "lead is disabled"
		},
		"owner gone": func() (Directory, principal.UID, string) { return d.Without(owner), agent, "not in the directory" },
		"owner is an agent": func() (Directory, principal.UID, string) {
			a, _ := d.Agent(agent)
			a.Owner = agent
			return d.WithAgent(a), agent, "owner"
		},
		"blueprint quarantined": func() (Directory, principal.UID, string) {
			b, _ := d.Blueprint(blueprint)
			b.State = Quarantined
			return d.WithBlueprint(b), agent, "quarantined"
		},
		"blueprint gone": func() (Directory, principal.UID, string) { return d.Without(blueprint), agent, "blueprint" },
		"agent without a state": func() (Directory, principal.UID, string) {
			a, _ := d.Agent(agent)
			a.State = ""
			return d.WithAgent(a), agent, "not active"
		},
		"agent at its expiry": func() (Directory, principal.UID, string) {
			a, _ := d.Agent(agent)
			a.Expiry = now
			return d.WithAgent(a), agent, "ended"
		},
		"workload's owner disabled": func() (Directory, principal.UID, string) {
			return d.WithUser(User{ID: owner, Handle: "lead", State: Disabled}), workload, "owner"
		},
		"a mission asks": func() (Directory, principal.UID, string) { return d, id(principal.Mission, 9), "not a principal" },
	}
	for name, f := range change {
		d, who, want := f()
		if why := d.Standing(who, now); !strings.Contains(why, want) {
			t.Errorf("%s: %q, want it to say %q", name, why, want)
		}
	}
}

func TestOwned(t *testing.T) {
	d, owner, _, agent, workload := world()
	if err := d.Owned(owner, "x"); err != nil {
		t.Fatal(err)
	}
	for _, who := range []principal.UID{agent, workload, "", id(principal.User, 99)} {
		if d.Owned(who, "x") == nil {
			t.Errorf("%q may own", who)
		}
	}
}

func TestSubjects(t *testing.T) {
	d, owner, _, agent, workload := world()
	for _, who := range []principal.UID{owner, workload} {
		if _, err := d.AsDirect(who); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.AsDirect(agent); err == nil {
		t.Error("an agent was made direct")
	}
	if _, err := d.AsDelegated(delegation.Chain{}); err == nil {
		t.Error("an empty chain was made delegated")
	}
}

// TestHandles: a renamed principal gives its old handle up, and a context that is
// opened again is another one.
func TestHandles(t *testing.T) {
	d, owner, _, _, _ := world()
	d = d.WithUser(User{ID: owner, Handle: "chief", State: Active})
	if _, ok := d.Resolve("user", "lead"); ok {
		t.Error("the old handle still resolves")
	}
	if got, _ := d.Resolve("user", "chief"); got != owner {
		t.Error(got)
	}
	if got, _ := d.Resolve("user", string(owner)); got != owner {
		t.Error("a uid does not resolve to itself")
	}
	first, second := id(principal.Context, 1), id(principal.Context, 2)
	opened := Context{ID: second, Type: "encounter", Handle: "E1", Open: true}
	closed := Context{ID: first, Type: "encounter", Handle: "E1"}
	for _, order := range [][2]Context{{closed, opened}, {opened, closed}} {
		d := d.WithContext(order[0]).WithContext(order[1])
		if got, _ := d.Resolve("context", "encounter/E1"); got != second {
			t.Errorf("E1 is %s, want the open one", got)
		}
	}
}

func TestKeyOf(t *testing.T) {
	d, owner, _, _, _ := world()
	d = d.WithUser(User{ID: owner, Handle: "lead", State: Active, Keys: []Key{{JKT: "k"}}})
	if _, ok := d.KeyOf(owner, "k"); !ok {
		t.Error("an enrolled key is not found")
	}
	for _, jkt := range []string{"", "other"} {
		if _, ok := d.KeyOf(owner, jkt); ok {
			t.Errorf("key %q is found", jkt)
		}
	}
}

// TestHandlePassesOn: one revision may give a handle from one principal to another,
// its rows in either order; what resolves is what a fresh load would resolve.
func TestHandlePassesOn(t *testing.T) {
	a, b := id(principal.User, 1), id(principal.User, 2)
	start := Directory{}.WithUser(User{ID: a, Handle: "x", State: Active}).WithUser(User{ID: b, Handle: "z", State: Active})
	gives, takes := User{ID: a, Handle: "y", State: Active}, User{ID: b, Handle: "x", State: Active}
	for _, order := range [][2]User{{gives, takes}, {takes, gives}} {
		d := start.WithUser(order[0]).WithUser(order[1])
		for handle, want := range map[string]principal.UID{"x": b, "y": a, "z": ""} {
			if got, _ := d.Resolve("user", handle); got != want {
				t.Errorf("%s first: %s is %q, want %q", order[0].ID, handle, got, want)
			}
		}
	}
	d := start.WithUser(takes).Without(a)
	if got, _ := d.Resolve("user", "x"); got != b {
		t.Errorf("without its former holder x is %q, want %q", got, b)
	}
}
