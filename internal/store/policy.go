package store

// policyNouns are the tables of the room policy: Cedar policies.
func policyNouns() []*noun {
	return []*noun{
		newNoun("policy", "policy"),
	}
}
