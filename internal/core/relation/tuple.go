package relation

import (
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
)

// The bounds on names, those of OpenFGA; an object or subject is 256 bytes at most.
const (
	maxType     = 254
	maxRelation = 50
	maxObject   = 256
)

// Reserved reports whether objects of a type are Ambit's own: what agents,
// missions, hops, grants and Ambit itself relate to is recorded by the rooms
// that own them, and no tuple write may forge it (SEMANTICS section 10). They
// may still be subjects.
func Reserved(typ string) bool {
	switch typ {
	case "agent", "mission", "hop", "grant", "ambit":
		return true
	}
	return false
}

// A subject is the parsed third part of a tuple.
type subject struct {
	typ      string
	object   string // "type:id"; "type:*" for a wildcard
	relation string // "" unless a userset
	wildcard bool
}

// typeOf returns what stands before the first colon, "" when nothing does.
func typeOf(object string) string {
	typ, _, _ := strings.Cut(object, ":")
	if len(typ) == len(object) {
		return ""
	}
	return typ
}

func parseSubject(s string) subject {
	object, relation, _ := strings.Cut(s, "#")
	typ := typeOf(object)
	return subject{typ: typ, object: object, relation: relation, wildcard: relation == "" && object == typ+":*"}
}

// ParseTuple returns the tuple that s, as String writes it, spells. The fault kind
// is Malformed.
func ParseTuple(s string) (Tuple, error) {
	object, rest, _ := strings.Cut(s, "#")
	relation, subject, _ := strings.Cut(rest, "@")
	t := Tuple{object, relation, subject}
	if err := t.wellFormed(); err != nil {
		return Tuple{}, fault.Wrap(fault.Malformed, err, "%.600q is not object#relation@subject: %v", s, err)
	}
	return t, nil
}

// wellFormed checks the spelling of t alone. Because an object holds no '#' and a
// relation no '@', String of a well-formed tuple parses in one way only.
func (t Tuple) wellFormed() error {
	if err := checkObject("object", t.Object); err != nil {
		return err
	}
	if !isName(t.Relation, maxRelation) {
		return fault.New(fault.Malformed, "relation %.60q is not a name: want 1 to %d characters, none of ':', '#', '@', '*' or space", t.Relation, maxRelation)
	}
	object, relation, userset := strings.Cut(t.Subject, "#")
	if userset && !isName(relation, maxRelation) {
		return fault.New(fault.Malformed, "subject %.300q: what follows '#' is not a relation name", t.Subject)
	}
	if !userset && isName(typeOf(object), maxType) && object == typeOf(object)+":*" {
		return nil
	}
	return checkObject("subject", object)
}

func checkObject(part, s string) error {
	typ, id, ok := strings.Cut(s, ":")
	switch {
	case !ok || !isName(typ, maxType) || id == "":
		return fault.New(fault.Malformed, "%s %.300q is not type:id", part, s)
	case len(s) > maxObject:
		return fault.New(fault.Malformed, "%s %.60q… is %d bytes long: the bound is %d", part, s, len(s), maxObject)
	case id == "*":
		return fault.New(fault.Malformed, "%s %q: everybody (%s:*) can only be a subject without a relation", part, s, typ)
	case strings.ContainsFunc(id, func(r rune) bool { return r == '#' || r <= ' ' || r == 0x7f || r == '\uFFFD' }):
		return fault.New(fault.Malformed, "%s %.300q: an id holds no '#', no space and no control character", part, s)
	}
	return nil
}

// isName reports whether s can name a type or a relation.
func isName(s string, max int) bool {
	return s != "" && len(s) <= max && !strings.ContainsFunc(s, func(r rune) bool {
		return r == ':' || r == '#' || r == '@' || r == '*' || r <= ' ' || r == 0x7f || r == '\uFFFD'
	})
}
