package organisation

import "strings"

// isPattern says whether a tool's name in a document stands for several.
func isPattern(s string) bool { return strings.Contains(s, "*") }

// matches reports whether name is what pattern says: * stands for any text, also
// none; every other character for itself.
func matches(pattern, name string) bool {
	first, rest, open := strings.Cut(pattern, "*")
	if !open {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		piece, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, piece)
		}
		at := strings.Index(name, piece)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(piece):], after
	}
}

// literal counts the characters of a pattern that are not *.
func literal(pattern string) int { return len(pattern) - strings.Count(pattern, "*") }
