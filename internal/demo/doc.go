// Package demo tells Ambit's story with real processes, in seconds: a server, a
// records server behind it, an assistant and its sub-agent, each a process of its
// own, re-executed from the same binary, with data that is thrown away.
//
// It owns the plot, the parts that are played and how the story is told. What
// happens is not staged: the people, the feed and the agents use the public
// client, the organisation is applied and the evidence verified by the command
// line as anybody would, and whatever comes out otherwise than the story says
// fails the demo. Called by cli alone. It may use the MCP SDK, which the product's
// own data path never does.
package demo
