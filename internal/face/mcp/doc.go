// Package mcp is the door for agents that speak the Model Context Protocol:
// streamable HTTP, revision 2025-11-25 and the two before it, at /mcp/{server}.
//
// It owns the protocol on the agent's side, and terminates it: one strict
// JSON-RPC message a POST, no sessions, initialize and ping answered here, tools
// listed from their pins. A tools/call becomes one enforce.Call; what the spine
// decided on is, byte for byte, what is forwarded. Every message, also one that
// means nothing, goes through the spine and is on the record. It refuses to know
// any policy, and to forward anything of the agent's but the params of a call
// that was allowed.
//
//	POST  → credential present → headers → frame → spine (Act, Check, Tools, Refuse) → answer
//
// Mounted by server; calls enforce and, inside an effect, an Upstreams.
package mcp
