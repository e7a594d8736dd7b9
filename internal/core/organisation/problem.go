package organisation

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
)

// maxProblems is how many problems an error spells out.
const maxProblems = 20

// A Problem is one thing that is wrong with a document. At is its place, as in
// "blueprints[0].ceiling[1].server"; cli/orgfile knows the line and column.
type Problem struct {
	At, Says string
}

// Problems are all that were found, in the order of the document. They are the
// cause of the fault that Validate and Plan return.
type Problems []Problem

func (ps Problems) Error() string {
	if len(ps) == 1 {
		return "1 problem"
	}
	return fmt.Sprintf("%d problems", len(ps))
}

// Text renders the problems one a line, each place through where.
func (ps Problems) Text(where func(at string) string) string {
	var lines []string
	for i, p := range ps {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("… and %d more", len(ps)-i))
			break
		}
		lines = append(lines, where(p.At)+": "+p.Says)
	}
	return strings.Join(lines, "\n")
}

// Found returns the problems behind an error of this package.
func Found(err error) (Problems, bool) { return errors.AsType[Problems](err) }

// fault returns nil when there are no problems.
func (ps Problems) fault() error {
	if len(ps) == 0 {
		return nil
	}
	text := ps.Text(func(at string) string { return at })
	return fault.Wrap(fault.Malformed, ps, "%s", text)
}

// report collects problems.
type report struct{ problems Problems }

func (r *report) add(at, format string, args ...any) {
	r.problems = append(r.problems, Problem{at, fmt.Sprintf(format, args...)})
}

// at makes a place: at("users", 2) is "users[2]".
func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// Nearest returns what a person most likely meant by word: the candidate at the
// smallest edit distance, if that is small for its length, else "".
func Nearest(word string, candidates []string) string {
	best, found := 1+min(len(word), 9)/3, ""
	for _, c := range candidates {
		if d := distance(word, c, best); d < best || d == best && found != "" && c < found {
			best, found = d, c
		}
	}
	return found
}

// didYouMean is the end of a message about an unknown word.
func didYouMean(word string, candidates []string) string {
	if n := Nearest(word, candidates); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}

// distance is the optimal string alignment distance of a and b (edits and swaps
// of neighbours), or more than bound when their lengths alone differ by that.
func distance(a, b string, bound int) int {
	if len(a)-len(b) > bound || len(b)-len(a) > bound {
		return bound + 1
	}
	before, last, now := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, make([]int, len(b)+1)
	}
	return last[len(b)]
}
