// Package policy is the room of Cedar: what relationships and context permit,
// and what is forbidden whatever they say.
//
// It owns policies, their compilation, the index that hands cedar-go only the
// candidates of a request, the relation names that the candidates mention, and
// evaluation with diagnostics. An erring permit does not permit; an erring
// forbid forbids (SEMANTICS section 5, stricter than Cedar's skipping).
// It refuses to combine principals: that is decision.
package policy
