// Package ledger is the room of what happened: entries, the order they are
// committed and sequenced in, the Merkle tree over them and its checkpoints.
//
// It owns the contract of writing anything at all: a Commit carries its
// conditions, its change rows and its entry, and Append is the only maker of a
// Committed, without which no Permit exists. The floor implements Store.
// It refuses to know what a change row means; that is each noun's room.
// Called by enforce (Append), by the sequencer in server, and by store.
package ledger
