// Package authority is the closed lattice that everything delegated is measured
// in: what a mission or a hop permits, as RFC 9396 authorization details with
// argument constraints (SEMANTICS section 4).
//
// It owns three operations on constraints, items and sets: Match (is this call
// inside?), Meet (the widest thing inside both) and Subset (is this inside
// that?). The set of constraints is closed under Meet. Whatever it does not
// know, an unknown type, field or constraint, matches nothing and is a subset
// of nothing. Limits, the counted bounds beside an authority, are compared here
// too. It refuses CEL, Cedar and globs: attenuation has to be provable by
// a stranger, which is why the lattice stands in the public half of the house
// and the room delegation builds on it. It imports the standard library only.
package authority
