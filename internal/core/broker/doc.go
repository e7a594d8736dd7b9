// Package broker is the room of downstream credentials: which one a call needs
// and how it is injected, so that no agent ever holds it.
//
// It owns Open, which turns a Permit, once, into an Opened: the only value that
// an upstream connection accepts. Sources of secrets and upstream transports
// implement its interfaces in connect. It refuses to open anything without a
// Permit and to show what it opened (Opened redacts itself).
package broker
