// Package client is how Go programs speak to Ambit: a person or machine through
// the management API, an agent through the token endpoint and the gateway.
//
// An Agent takes a mission that a person signed, delegates narrower parts of it
// to sub-agents with keys of their own, and hands out HTTP clients whose every
// request carries a fresh proof of possession (RFC 9449), so that any MCP or HTTP
// library works on top and no token it sees is worth stealing. Private keys stay
// in the process.
//
// The package imports the standard library only. Values are safe for concurrent
// use unless their comment says otherwise.
package client
