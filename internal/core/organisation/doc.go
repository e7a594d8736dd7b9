// Package organisation is the room of the declarative file: one document says
// who there is, what they may do and which servers they do it on.
//
// It owns the document (all handles, no uids), its validation, the plan, which
// is the difference between the document and a snapshot as change rows, and the
// document's tests, which run on the state that the plan would make. It refuses
// to read files (that is cli/orgfile), to ask servers what they show (the spine
// does, with NeedsProbe in hand) and to write anything.
//
// The flow of an apply:
//
//	Document.Validate → NeedsProbe → (the spine probes) → Plan → RunTests → (the spine commits)
//
// All functions are pure and safe for concurrent use. Called by enforce, and by
// cli to check a file before it is sent.
package organisation
