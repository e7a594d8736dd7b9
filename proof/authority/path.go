package authority

import (
	"bytes"
	"strings"
)

// validPath reports whether s is a path that can match at all (SEMANTICS
// section 4): after one leading '/', which makes it absolute, no segment is
// empty or "..", so no trailing '/' either, and there is no '\', no NUL and no
// escape ('%' and two hex digits). "." and "/." have no segments: they are the
// relative and the absolute root.
func validPath[T string | []byte](s T) bool {
	n, start := len(s), 0
	if n > 0 && s[0] == '/' {
		start = 1
	}
	for i := start; ; i++ {
		if i == n || s[i] == '/' {
			if i == start || i == start+2 && s[start] == '.' && s[start+1] == '.' {
				return false
			}
			if i == n {
				return true
			}
			start = i + 1
			continue
		}
		if s[i] == '\\' || s[i] == 0 || s[i] == '%' && i+2 < n && hex(s[i+1]) && hex(s[i+2]) {
			return false
		}
	}
}

func hex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// pathWithin reports whether path is prefix or lies below it, segment by
// segment after "." is dropped: P1 is no prefix of P10. A relative and an
// absolute path are different things.
func pathWithin(path []byte, prefix string) bool {
	if !validPath(path) || !validPath(prefix) || (path[0] == '/') != (prefix[0] == '/') {
		return false
	}
	path, prefix = bytes.TrimPrefix(path, []byte{'/'}), strings.TrimPrefix(prefix, "/")
	for more := true; more; {
		var want string
		want, prefix, more = strings.Cut(prefix, "/")
		if want == "." {
			continue
		}
		got := []byte{'.'}
		for string(got) == "." {
			if len(path) == 0 {
				return false
			}
			got, path, _ = bytes.Cut(path, []byte{'/'})
		}
		if string(got) != want {
			return false
		}
	}
	return true
}

// pathLength is the least number of code points of a path within a valid prefix.
func pathLength(prefix string) int {
	n := strings.Count(prefix, "/") // separators, and the leading one
	for seg := range strings.SplitSeq(strings.TrimPrefix(prefix, "/"), "/") {
		if seg == "." {
			n-- // with its separator
			continue
		}
		n += length([]byte(seg))
	}
	return max(n, 1)
}
