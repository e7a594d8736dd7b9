package table

import (
	"testing"

	"pgregory.net/rapid"
)

// TestModel holds a Map against a plain map through any run of writes, and every
// earlier version against what it was.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map[string, int]
		model := map[string]int{}
		type version struct {
			m     Map[string, int]
			model map[string]int
		}
		var past []version
		for range rapid.IntRange(0, 60).Draw(t, "writes") {
			k := rapid.StringMatching(`[a-c]{1,3}`).Draw(t, "k")
			copied := make(map[string]int, len(model))
			for k, v := range model {
				copied[k] = v
			}
			past = append(past, version{m, copied})
			if rapid.Bool().Draw(t, "delete") {
				m = m.Without(k)
				delete(model, k)
			} else {
				v := rapid.Int().Draw(t, "v")
				m = m.With(k, v)
				model[k] = v
			}
		}
		past = append(past, version{m, model})
		for _, p := range past {
			same(t, p.m, p.model)
		}
	})
}

func same(t *rapid.T, m Map[string, int], model map[string]int) {
	if m.Len() != len(model) {
		t.Fatalf("Len %d, want %d", m.Len(), len(model))
	}
	n := 0
	for k, v := range m.All() {
		if want, ok := model[k]; !ok || want != v {
			t.Fatalf("%q: %d, want %d %v", k, v, want, ok)
		}
		n++
	}
	if n != len(model) {
		t.Fatalf("All yielded %d of %d", n, len(model))
	}
	for k, want := range model {
		if v, ok := m.Get(k); !ok || v != want {
			t.Fatalf("Get(%q) = %d, %v", k, v, ok)
		}
	}
	if _, ok := m.Get("absent"); ok {
		t.Fatal("absent key found")
	}
}
