// Package decision is the room that answers the sentence: may this subject do
// this, now?
//
// It owns the snapshot (all rooms' facts at one revision), the stage × link table
// of SEMANTICS section 5, the verdict with its binding link and stage, and the
// Permit, which only an allowing verdict plus its committed entry can become.
// Decide is a pure function. It refuses to load, write or send anything.
// Called by enforce and organisation.
package decision
