package store

// relationNouns are the tables of the room relation: the model and the tuples.
// The key of the one model is "model", a tuple's its canonical text; neither has a handle.
func relationNouns() []*noun {
	return []*noun{
		newNoun("model", "relation_model"),
		newNoun("tuple", "relation_tuple"),
	}
}
