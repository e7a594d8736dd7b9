package directory

import (
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Standing says why the principal of id may not act at all at this moment, and
// "" when it may: it exists, is active and unexpired, and, unless it is a user,
// so are its blueprint and a live human owner. No approval supplies standing.
func (d Directory) Standing(id principal.UID, at time.Time) string {
	switch id.Prefix() {
	case principal.User:
		return d.liveUser(id, "the user")
	case principal.Workload:
		w, ok := d.workloads.Get(id)
		if !ok {
			return "the workload is not in the directory"
		}
		if w.State != Active {
			return "the workload is " + word(w.State)
		}
		return d.liveUser(w.Owner, "its owner")
	case principal.Agent:
		return d.liveAgent(id, at)
	}
	return "it is not a principal that can act"
}

func (d Directory) liveUser(id principal.UID, who string) string {
	u, ok := d.users.Get(id)
	if !ok {
		return who + " is not in the directory"
	}
	if u.State != Active {
		return who + " " + u.Handle + " is " + word(u.State)
	}
	return ""
}

func (d Directory) liveAgent(id principal.UID, at time.Time) string {
	a, ok := d.agents.Get(id)
	if !ok {
		return "the agent is not in the directory"
	}
	if a.State != Active {
		return "the agent is " + word(a.State)
	}
	if !a.Expiry.IsZero() && !at.Before(a.Expiry) {
		return "the agent ended at " + a.Expiry.UTC().Format(time.RFC3339)
	}
	if why := d.liveUser(a.Owner, "its owner"); why != "" {
		return why
	}
	b, ok := d.blueprints.Get(a.Blueprint)
	if !ok {
		return "its blueprint is not in the directory"
	}
	if b.State != Active {
		return "its blueprint " + b.Handle + " is " + word(b.State)
	}
	// The blueprint's owner answers for the class: a class without a live owner
	// has nobody who may change or stop it.
	return d.liveUser(b.Owner, "its blueprint's owner")
}

// word names a state; the zero state was never set, which is not live either.
func word(s State) string {
	if s == "" {
		return "not active"
	}
	return string(s)
}

// Owned refuses an owner who is not a live human: nothing is created without
// one. what names the thing for the message.
func (d Directory) Owned(owner principal.UID, what string) error {
	if why := d.liveUser(owner, "the owner"); why != "" || !owner.Is(principal.User) {
		if why == "" {
			why = "the owner is not a user"
		}
		return fault.New(fault.Denied, "%s needs a live human owner: %s", what, why).
			WithHint("name an active user as owner")
	}
	return nil
}

// AsDirect returns the Direct subject of an authenticated user or workload. An
// agent is never Direct, whatever it authenticated with (SEMANTICS section 2).
func (d Directory) AsDirect(id principal.UID) (Subject, error) {
	if !id.Is(principal.User) && !id.Is(principal.Workload) {
		return nil, fault.New(fault.Denied, "an agent acts only by delegation, under a mission; it is never a direct subject").
			WithHint("exchange a mission for a delegated token")
	}
	return Direct{id}, nil
}

// AsDelegated returns the Delegated subject of a verified chain.
func (d Directory) AsDelegated(c delegation.Chain) (Subject, error) {
	if len(c.Hops) == 0 {
		return nil, fault.New(fault.Denied, "a chain has at least its root hop")
	}
	return Delegated{c}, nil
}

// KeyOf returns the enrolled key of a user, workload or agent by thumbprint.
func (d Directory) KeyOf(id principal.UID, jkt string) (Key, bool) {
	var keys []Key
	switch id.Prefix() {
	case principal.User:
		u, _ := d.users.Get(id)
		keys = u.Keys
	case principal.Workload:
		w, _ := d.workloads.Get(id)
		keys = w.Keys
	case principal.Agent:
		a, _ := d.agents.Get(id)
		keys = a.Keys
	}
	for _, k := range keys {
		if jkt != "" && k.JKT == jkt {
			return k, true
		}
	}
	return Key{}, false
}
