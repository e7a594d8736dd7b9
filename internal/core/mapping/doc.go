// Package mapping is the room of what a protocol call means: which action on
// which resource, with which arguments, of which effect class, at which cost.
//
// It owns servers and their pinned tools, the templates that turn arguments into
// a resource, and the templates that turn an open context into a frame. A method
// or tool without a mapping means nothing and is denied. It refuses to judge.
// All functions are pure and safe for concurrent use. Called by enforce,
// decision and organisation.
package mapping
