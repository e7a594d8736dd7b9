package delegation

import (
	"cmp"
	"slices"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Narrow re-meets the effective authority of every active hop whose delegate was
// made from a blueprint, and of every active hop below those, with the
// blueprint's new ceiling. It returns the hops that changed, by depth and uid;
// the caller stores them and bumps the epochs of their missions in the
// transaction that changes the blueprint.
//
// It starts from each hop's present effective authority, so nothing ever grows:
// a ceiling that is widened changes nothing. Meeting a descendant with the same
// ceiling keeps it inside its parent, because it was inside before. Hops of
// missions that ended are left as they were.
func Narrow(m Missions, blueprint principal.UID, ceiling authority.Set) []Hop {
	seen := map[principal.UID]bool{}
	var changed []Hop
	for _, id := range m.ByBlueprint(blueprint) {
		for _, id := range append([]principal.UID{id}, m.Descendants(id)...) {
			h, ok := m.Hop(id)
			if !ok || seen[id] {
				continue
			}
			seen[id] = true
			if mission, _ := m.Mission(h.Mission); h.State != Active || mission.State != Active && mission.State != Paused {
				continue
			}
			if within, _ := h.Effective.Subset(ceiling); within {
				continue
			}
			h.Effective = authority.Meet(h.Effective, ceiling)
			changed = append(changed, h)
		}
	}
	slices.SortFunc(changed, func(a, b Hop) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), cmp.Compare(a.ID, b.ID))
	})
	return changed
}
