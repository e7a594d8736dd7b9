package golden

import (
	"encoding/json"
	"testing"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
)

// BenchmarkDecide is case 1, the whole decision of a chain of two links, with its
// explanation kept.
func BenchmarkDecide(b *testing.B) {
	var w *world
	var c golden
	t := &testing.T{}
	d := read(t)
	for _, c = range d.Cases {
		if c.N == 1 {
			break
		}
	}
	w = build(t, d, c)
	s, _ := w.snap.Catalogue.ServerByHandle("records")
	action, err := mapping.Resolve(w.snap.Catalogue, s.ID, "read", json.RawMessage(`{"patient":"P1"}`))
	if err != nil {
		b.Fatal(err)
	}
	subject := w.subject(c)
	b.ReportAllocs()
	for b.Loop() {
		if v := decision.Decide(w.snap, decision.Request{Subject: subject, Action: action, At: at("")}); !v.Allowed() {
			b.Fatal(v.Outcome())
		}
	}
}
