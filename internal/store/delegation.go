package store

// delegationNouns are the tables of the room delegation: missions and their hops.
// Neither has a handle.
func delegationNouns() []*noun {
	return []*noun{
		newNoun("mission", "delegation_mission"),
		newNoun("hop", "delegation_hop"),
	}
}
