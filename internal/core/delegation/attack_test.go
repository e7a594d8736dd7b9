package delegation

import (
	"testing"

	"github.com/ambit-iam/ambit/internal/fault"
)

// An agent without maxChildren must not fill the memory of every replica with
// sub-agents.
func TestAttackHopsWithoutEnd(t *testing.T) {
	c := rootChain(t)
	p := child(t, c)
	m := Missions{}.WithMission(c.Mission).WithHop(c.Acting())
	if p.Hops = m.Hops(c.Mission.ID); p.Hops != 1 {
		t.Fatalf("%d hops, want the root", p.Hops)
	}
	if _, err := Child(c, p, noon); err != nil {
		t.Fatal(err)
	}
	p.Hops = MaxHops
	if _, err := Child(c, p, noon); fault.KindOf(err) != fault.Denied {
		t.Errorf("one hop too many was made: %v", err)
	}
}
