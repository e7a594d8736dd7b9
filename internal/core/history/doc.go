// Package history is the room of what happened and whether it can be proved.
//
// From the ledger alone it tells the story of a mission as a causal tree in
// plain sentences, with the labels that things had at the time, and gathers the
// evidence bundle with which a stranger checks that story offline. It refuses to
// know the present: what is not in the ledger did not happen, and what the
// ledger does not know is said to be unknown.
// Called by enforce (Story, Export) and by cli, which renders a Tree.
package history
