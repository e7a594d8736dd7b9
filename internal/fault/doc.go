// Package fault is the vocabulary of what can go wrong.
//
// It owns one error type: a kind (what class of trouble), a message that is
// safe to show to the caller, an optional next step, and a wrapped cause that
// is for operators only. Faces map a kind to their protocol's status once
// (HTTP, OAuth, JSON-RPC, exit code); rooms and the floor only choose a kind.
//
// A denial is not a fault: it is a decision.Verdict. Everybody may import
// fault; fault imports the standard library only.
package fault
