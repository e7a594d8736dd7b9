// Package delegation is the room of missions and hops: who handed what to whom,
// and what survives of it.
//
// It owns the mission and hop as the server records them, the rules of making a
// hop (never wider, longer, deeper or more than its parent allows; refused, not
// clipped), the effective authority of every hop, re-meeting when something
// above narrows, and the walk from an acting hop to its origin. The lattice
// itself is proof/authority, because a stranger checks attenuation with it.
// It refuses to know who a principal is (directory) or whether a call is wise.
// Called by directory, decision, enforce and history.
package delegation
