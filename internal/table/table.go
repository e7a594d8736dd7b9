package table

import (
	"hash/maphash"
	"iter"
	"maps"
)

// shards is the number of parts of a Map: a write copies one of them, so its
// cost is 1/256 of the map plus a 2 kB header.
const shards = 256

// A Map is an immutable map from K to V. The zero Map is empty and ready to
// use. Readers need no lock; With and Without return a new Map that shares all
// shards but one with the old. Values must not be modified after they are put.
type Map[K ~string, V any] struct {
	part *[shards]map[K]V
	n    int
}

// seed is fixed for the life of the process: it only spreads keys over shards
// and never reaches a decision or the disk.
var seed = maphash.MakeSeed()

func shard[K ~string](k K) int { return int(maphash.String(seed, string(k)) % shards) }

// Get returns the value of k and whether there is one.
func (m Map[K, V]) Get(k K) (V, bool) {
	if m.part == nil {
		var zero V
		return zero, false
	}
	v, ok := m.part[shard(k)][k]
	return v, ok
}

// Len returns the number of keys.
func (m Map[K, V]) Len() int { return m.n }

// With returns m with k set to v.
func (m Map[K, V]) With(k K, v V) Map[K, V] {
	i := shard(k)
	next := new([shards]map[K]V)
	if m.part != nil {
		*next = *m.part
	}
	n := m.n
	if _, had := next[i][k]; !had {
		n++
	}
	if next[i] == nil {
		next[i] = map[K]V{k: v}
	} else {
		next[i] = maps.Clone(next[i])
		next[i][k] = v
	}
	return Map[K, V]{next, n}
}

// Without returns m without k.
func (m Map[K, V]) Without(k K) Map[K, V] {
	if _, had := m.Get(k); !had {
		return m
	}
	i := shard(k)
	next := new([shards]map[K]V)
	*next = *m.part
	next[i] = maps.Clone(next[i])
	delete(next[i], k)
	return Map[K, V]{next, m.n - 1}
}

// All ranges over m in no particular order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.part == nil {
			return
		}
		for _, p := range m.part {
			for k, v := range p {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}
