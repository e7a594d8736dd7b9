// Package jsonrpc is the vocabulary of JSON-RPC 2.0 frames as MCP uses them:
// one message, no batches, ids that are strings or numbers, params that are an
// object.
//
// It owns a hand-written scanner that accepts a frame only if every JSON reader
// must read it the same way (valid UTF-8, no byte order mark, no duplicate keys
// after unescaping, no lone surrogates, bounded depth, nothing after the end),
// and that hands out params, results and arguments as spans of the bytes that
// arrived, so that what was decided on is what is forwarded. It refuses to know
// any method, transport or policy. Used by face/mcp towards agents and by
// connect/upstream towards servers; it imports the standard library only.
package jsonrpc
