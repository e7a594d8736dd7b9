package store

// directoryNouns are the tables of the room directory: principals and contexts.
// A context's handle is "<type>/<handle>"; an ephemeral agent has none.
func directoryNouns() []*noun {
	return []*noun{
		newNoun("user", "directory_user"),
		newNoun("group", "directory_group"),
		newNoun("workload", "directory_workload"),
		newNoun("blueprint", "directory_blueprint"),
		newNoun("agent", "directory_agent"),
		newNoun("context", "directory_context"),
	}
}
