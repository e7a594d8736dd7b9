// Package route is the one mux that every face is mounted on: request identity,
// bounds, and the rendering of faults as RFC 9457 problems.
//
// It owns what must hold before any protocol is parsed: the Host is one the
// server was configured with and the Origin, if a browser sent one, is the
// server's own (so that a rebound DNS name reaches nothing), the path is clean,
// the body is bounded, the time is bounded, a panic is an internal fault and no
// more. A route cannot mount without the name of an action. It refuses to know
// any credential: it takes them off the wire (Presented) and hands them on
// unverified. Called by face/* and server.
package route
