// Package stdio runs a child process that speaks one JSON message a line on its
// standard streams, as MCP's stdio transport does, and makes sure that nothing
// of it outlives its owner.
//
// It owns the process: an environment that inherits nothing but PATH, HOME and
// TMPDIR, a process group of its own that is killed as a whole, a kernel promise
// that the child dies with this process (Linux), bounded lines in, a bounded copy
// of standard error to the log, and reaping. It refuses to read what the lines
// say, and it never restarts: an owner that wants another process starts one.
// Used by connect/upstream and by the shim of the command line.
package stdio
