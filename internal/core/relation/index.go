package relation

import (
	"cmp"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
)

// fan is the width of both levels of an index. A write copies two arrays of fan
// pointers and one of fan² maps, so relations, the one part of a snapshot that
// holds millions, cost a write a few microseconds (table.Map, with one level,
// copies 1/256 of everything).
const fan = 64

// seed spreads keys over maps; it never reaches a decision or the disk.
var seed = maphash.MakeSeed()

// An index is an immutable map from object to its tuples.
type index struct {
	root *[fan]*[fan]map[string]object
	n    int // tuples
}

// An object is the subjects of each relation of one object, by relation, sorted.
type object []related

type related struct {
	relation string
	subjects set
}

func slot(key string) (int, int) {
	h := maphash.String(seed, key)
	return int(h % fan), int(h / fan % fan)
}

func (x index) get(key string) object {
	if x.root == nil {
		return nil
	}
	i, j := slot(key)
	if x.root[i] == nil {
		return nil
	}
	return x.root[i][j][key]
}

// put returns x with an object replaced, or removed when it has no tuples left.
func (x index) put(key string, o object) index {
	i, j := slot(key)
	root, branch := new([fan]*[fan]map[string]object), new([fan]map[string]object)
	if x.root != nil {
		*root = *x.root
	}
	if root[i] != nil {
		*branch = *root[i]
	}
	root[i], branch[j] = branch, maps.Clone(branch[j])
	switch {
	case len(o) == 0:
		delete(branch[j], key)
	case branch[j] == nil:
		branch[j] = map[string]object{key: o}
	default:
		branch[j][key] = o
	}
	return index{root, x.n}
}

func (x index) with(t Tuple) index {
	o := x.get(t.Object)
	i, found := o.find(t.Relation)
	o = slices.Clone(o)
	if !found {
		o = slices.Insert(o, i, related{relation: t.Relation})
	}
	subjects, added := o[i].subjects.with(t.Subject)
	if !added {
		return x
	}
	o[i].subjects = subjects
	x = x.put(t.Object, o)
	x.n++
	return x
}

func (x index) without(t Tuple) index {
	o := x.get(t.Object)
	i, found := o.find(t.Relation)
	if !found {
		return x
	}
	subjects, removed := o[i].subjects.without(t.Subject)
	if !removed {
		return x
	}
	o = slices.Clone(o)
	o[i].subjects = subjects
	if len(subjects) == 0 {
		o = slices.Delete(o, i, i+1)
	}
	x = x.put(t.Object, o)
	x.n--
	return x
}

// build makes an index of tuples, which it sorts; O(n log n).
func build(tuples []Tuple) index {
	slices.SortFunc(tuples, func(a, b Tuple) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Relation, b.Relation), strings.Compare(a.Subject, b.Subject))
	})
	tuples = slices.Compact(tuples)
	x := index{root: new([fan]*[fan]map[string]object), n: len(tuples)}
	for len(tuples) > 0 {
		key, o := tuples[0].Object, object(nil)
		for len(tuples) > 0 && tuples[0].Object == key {
			r := related{relation: tuples[0].Relation}
			end := slices.IndexFunc(tuples, func(t Tuple) bool { return t.Object != key || t.Relation != r.relation })
			if end < 0 {
				end = len(tuples)
			}
			r.subjects = collect(tuples[:end])
			o, tuples = append(o, r), tuples[end:]
		}
		i, j := slot(key)
		if x.root[i] == nil {
			x.root[i] = new([fan]map[string]object)
		}
		if x.root[i][j] == nil {
			x.root[i][j] = map[string]object{}
		}
		x.root[i][j][key] = o
	}
	return x
}

func (x index) all() iter.Seq2[string, object] {
	return func(yield func(string, object) bool) {
		if x.root == nil {
			return
		}
		for _, branch := range x.root {
			if branch == nil {
				continue
			}
			for _, m := range branch {
				for key, o := range m {
					if !yield(key, o) {
						return
					}
				}
			}
		}
	}
}

func (o object) find(relation string) (int, bool) {
	return slices.BinarySearchFunc(o, relation, func(r related, want string) int { return strings.Compare(r.relation, want) })
}

// of returns the subjects of one relation.
func (o object) of(relation string) set {
	if i, ok := o.find(relation); ok {
		return o[i].subjects
	}
	return nil
}
