// Package enforce is the spine: the only way from a face to an effect.
//
// It speaks the one sentence whole. Who is acting, on whose behalf, within what
// mandate; may they do this, now; and can we prove it afterwards:
//
//	identify → subject → decide → commit (entry durable) → permit → open → effect → outcome
//
// It owns that order and nothing else: each step is a room's, and each takes the
// value that the step before it made, so that a later step cannot be called
// first. Faces hand the effect in as a function and have no other way to act.
//
// Act runs a tool call. Check answers without an effect. Tools lists what may be
// called. Issue mints credentials. Change writes. Can, Show, Story and Export
// read. Every one of them is decided and recorded (SEMANTICS section 6).
//
// Called by the faces; wired by server. Imports the rooms, never the floor.
package enforce
