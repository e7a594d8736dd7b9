// Package table holds the one data structure that every snapshot is made of: an
// immutable map that copies one small shard per write.
//
// A decision pins one snapshot and reads it without locks while the next one is
// being built beside it; a plain map would have to be copied whole for every
// revision. The package knows nothing of what it stores. Rooms import it; it
// imports the standard library only.
package table
