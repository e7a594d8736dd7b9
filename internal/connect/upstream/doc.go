// Package upstream carries calls to the MCP servers behind the gateway. It
// implements broker.Upstreams over streamable HTTP (revision 2025-11-25 and the
// two before it) and over stdio.
//
// It owns sessions: one HTTP session or one child process for each
// broker.Session, so that no upstream state is ever shared between origins or
// missions; ids of its own, so that concurrent callers can share one; the
// handshake, cancellation, progress, idle reaping, and the honest answer to
// whether a call that got no answer may have been sent. It sends what an Opened
// holds and nothing else of the caller's: no header, no token. It refuses
// redirects, and whatever a server asks of its client. Wired by server.
package upstream
