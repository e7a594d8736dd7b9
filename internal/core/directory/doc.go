// Package directory is the room of principals: users, groups, workloads,
// blueprints and agents, and the contexts (encounter, ticket) they work in.
//
// It owns their life cycles and the owner invariant: no agent exists, and no
// credential of it is issued or used, without a live human owner. It resolves a
// chain of uids into a Subject. It refuses to know what anybody may do.
// Called by credential's callers, decision and enforce.
package directory
