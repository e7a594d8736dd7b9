package ledger

import "github.com/ambit-iam/ambit/internal/principal"

// Order gives each pending entry, in the order given, the next index from size
// on and, where it belongs to a run, that run's next number: gapless from 1, so
// that an entry left out of a run shows. counts holds the last number of each
// run and is not changed; a run that is absent starts at 1.
func Order(pending []Pending, size int64, counts map[principal.UID]int64) []Assigned {
	as := make([]Assigned, len(pending))
	last := make(map[principal.UID]int64)
	for i, p := range pending {
		as[i] = Assigned{N: p.N, Index: size + int64(i)}
		if p.Run == "" {
			continue
		}
		n, seen := last[p.Run]
		if !seen {
			n = counts[p.Run]
		}
		last[p.Run] = n + 1
		as[i].RunN = n + 1
	}
	return as
}
