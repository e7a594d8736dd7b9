package relation

import (
	"iter"
	"slices"
	"strings"
)

// chunk is the longest run of a set. A write to a set of n copies one chunk and
// n/chunk slice headers: 100 kB for a group of a million, not 16 MB.
const chunk = 256

// A set is an immutable sorted set of subjects, in runs that are never empty.
type set [][]string

// find returns the run in which s is or belongs, its place there, and whether it
// is there.
func (x set) find(s string) (i, j int, found bool) {
	i, found = slices.BinarySearchFunc(x, s, func(run []string, want string) int { return strings.Compare(run[0], want) })
	if found {
		return i, 0, true
	}
	if i == 0 {
		return 0, 0, false
	}
	j, found = slices.BinarySearch(x[i-1], s)
	return i - 1, j, found
}

func (x set) has(s string) bool {
	_, _, found := x.find(s)
	return found
}

func (x set) with(s string) (set, bool) {
	if len(x) == 0 {
		return set{{s}}, true
	}
	i, j, found := x.find(s)
	if found {
		return x, false
	}
	run := make([]string, 0, len(x[i])+1)
	run = append(append(append(run, x[i][:j]...), s), x[i][j:]...)
	x = slices.Clone(x)
	if x[i] = run; len(run) > chunk {
		half := len(run) / 2
		x[i] = run[:half:half]
		x = slices.Insert(x, i+1, run[half:])
	}
	return x, true
}

func (x set) without(s string) (set, bool) {
	i, j, found := x.find(s)
	if !found {
		return x, false
	}
	x = slices.Clone(x)
	if len(x[i]) == 1 {
		return slices.Delete(x, i, i+1), true
	}
	x[i] = slices.Delete(slices.Clone(x[i]), j, j+1)
	return x, true
}

// collect makes a set of the subjects of tuples, which are sorted and distinct.
func collect(tuples []Tuple) set {
	x := make(set, 0, (len(tuples)+chunk-1)/chunk)
	for part := range slices.Chunk(tuples, chunk) {
		run := make([]string, len(part))
		for i, t := range part {
			run[i] = t.Subject
		}
		x = append(x, run)
	}
	return x
}

// prefixed ranges, in order, over the members that start with prefix.
func (x set) prefixed(prefix string) iter.Seq[string] {
	return func(yield func(string) bool) {
		i, j, _ := x.find(prefix)
		for ; i < len(x); i, j = i+1, 0 {
			for _, s := range x[i][j:] {
				if !strings.HasPrefix(s, prefix) || !yield(s) {
					return
				}
			}
		}
	}
}
