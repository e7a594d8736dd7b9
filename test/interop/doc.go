// Package interop holds no code: its tests put Ambit between MCP clients and
// servers that other people wrote, and see that both ends work and that only what
// was permitted passes. The foreign programs come from npm, pinned in
// package-lock.json; the module is one of its own so that they stay out of ours.
package interop
