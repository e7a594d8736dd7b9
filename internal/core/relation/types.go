package relation

// A Tuple is object#relation@subject. Object is "type:id"; Subject is "type:id",
// "type:id#relation" (a userset) or "type:*". Principals appear by uid:
// "user:usr_…", "agent:agt_…", "group:grp_…".
type Tuple struct {
	Object   string `json:"object"`
	Relation string `json:"relation"`
	Subject  string `json:"subject"`
}

// String returns the canonical text of t, which is also its key.
func (t Tuple) String() string { return t.Object + "#" + t.Relation + "@" + t.Subject }

// A Model says which relations a type has and how each is computed.
type Model struct {
	Types map[string]map[string]Rewrite `json:"types"` // type → relation → rewrite
	// Source is the text it was read from, in its own language.
	Source string `json:"source,omitempty"`
}

// A Rewrite is one way to compute a relation. Exactly one member is set.
type Rewrite struct {
	Direct   []Allowed `json:"direct,omitempty"`   // [user, group#member, user:*]
	Computed string    `json:"computed,omitempty"` // another relation of the same object
	From     *From     `json:"from,omitempty"`     // relation of a related object
	Union    []Rewrite `json:"union,omitempty"`
}

// An Allowed is a type restriction of directly assigned subjects.
type Allowed struct {
	Type     string `json:"type"`
	Relation string `json:"relation,omitempty"`
	Wildcard bool   `json:"wildcard,omitempty"`
}

// A From is tuple-to-userset: "Relation from Tupleset".
type From struct {
	Relation string `json:"relation"`
	Tupleset string `json:"tupleset"`
}
