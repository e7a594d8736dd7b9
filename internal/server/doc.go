// Package server is the composition root: it opens the store and the keys,
// wires spine and faces by struct literal, runs them, and stops them in order.
//
// It owns what is left when everything has its room: the follower that keeps the
// snapshot fresh, the sequencer that grows the log, the local door through which
// the first administrator enrols, the listener and the ready file. It refuses to
// decide anything. It is the only package that imports all others; cli starts it.
package server
