// Package principal is the vocabulary of who: opaque typed uids and the SPIFFE
// names made from them.
//
// A uid is all that tokens, SPIFFE paths and ledger leaves ever carry, so that
// a person can be erased; handles are labels that faces resolve. The package
// refuses to know anything else about a principal: that is the room directory.
// Everybody may import principal; it imports the standard library only.
package principal
