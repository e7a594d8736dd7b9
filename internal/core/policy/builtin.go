package policy

import (
	"fmt"

	"github.com/ambit-iam/ambit/internal/principal"
)

// The builtin policies: what holds in every organisation before it has written
// any policy of its own. They concern people and workloads only: an agent never
// reaches a management action (SEMANTICS section 2).
const (
	administrators = `@id("ambit:administrators")
permit (
    principal in Group::%q,
    action in Action::"management",
    resource
);`

	originator = `@id("ambit:originator")
permit (
    principal is User,
    action in [Action::"mission.end", Action::"mission.revoke", Action::"mission.show", Action::"mission.story", Action::"mission.export"],
    resource is Mission
)
when { resource has origin && resource.origin == principal };`

	owner = `@id("ambit:owner")
permit (
    principal is User,
    action in [Action::"agent.revoke", Action::"agent.show", Action::"blueprint.revoke", Action::"blueprint.show", Action::"decision.ask", Action::"mission.revoke", Action::"mission.show", Action::"mission.story", Action::"mission.export"],
    resource
)
when { resource has owner && resource.owner == principal };`

	self = `@id("ambit:self")
permit (
    principal,
    action in Action::"self",
    resource
);`
)

// Builtin returns the policies that come with the binary; their handle is their
// id. Members of the group administrators (its uid; "" when there is none) may do
// every management action; a person may end, revoke, show and export the missions
// they began; the owner of agents and blueprints may revoke, show and ask about these, and
// revoke, show and export their missions; everybody may do what concerns themselves alone.
func Builtin(administratorsGroup principal.UID) []Policy {
	builtin := func(name, source string) Policy {
		return Policy{ID: principal.UID(builtinPrefix + name), Handle: builtinPrefix + name, Source: source, Builtin: true}
	}
	out := []Policy{builtin("originator", originator), builtin("owner", owner), builtin("self", self)}
	if administratorsGroup != "" {
		out = append(out, builtin("administrators", fmt.Sprintf(administrators, string(administratorsGroup))))
	}
	return out
}
