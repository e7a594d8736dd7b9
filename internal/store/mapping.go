package store

// mappingNouns are the tables of the room mapping: servers and their tools.
// A tool's handle is "<server uid>/<name>".
func mappingNouns() []*noun {
	return []*noun{
		newNoun("server", "mapping_server"),
		newNoun("tool", "mapping_tool"),
	}
}
