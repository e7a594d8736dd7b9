// Package relation is the room of relationships: who relates to what, as
// Zanzibar tuples under a model, and how one follows from others.
//
// It owns the model (OpenFGA semantics), tuples, and Check over an immutable
// Graph with a bound on work: a search that is cut short says so and is an error
// of whoever needed it, never a quiet "no". It refuses to say what a
// relationship permits: policies decide. It knows no parser: that is schema.
// Called by decision and organisation.
package relation
