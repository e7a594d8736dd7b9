package enforce_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/enforce"
)

// BenchmarkDecisions runs Act with 128 callers over a real store: token from the
// cache, whole decision, conditional commit with its durable entry, permit,
// effect of nothing, outcome. What it reports is allowed decisions a second and
// the median a caller waits.
func BenchmarkDecisions(b *testing.B) {
	h := build(b)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(b, err)
	tok, err := h.take("assistant", st, false)
	must(b, err)
	nothing := func(context.Context, broker.Opened) (enforce.Result, error) {
		return enforce.Result{Status: "ok", Digest: "x", Bytes: 1}, nil
	}
	const callers = 128
	jobs := make(chan struct{}, callers)
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for range jobs {
				d, err := h.spine.Act(context.Background(), h.call(tok.AccessToken, "read", `{"patient":"P1"}`), nothing)
				if err != nil || !d.Allowed() {
					b.Errorf("%v %s", err, d.Sentence())
					return
				}
			}
		})
	}
	for range b.N {
		jobs <- struct{}{}
	}
	close(jobs)
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "decisions/s")
}

// BenchmarkAct is Act by one caller: deciding, and one durable commit.
func BenchmarkAct(b *testing.B) {
	h := build(b)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(b, err)
	tok, err := h.take("assistant", st, false)
	must(b, err)
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		d, err := h.spine.Act(context.Background(), h.call(tok.AccessToken, "read", `{"patient":"P1"}`), func(context.Context, broker.Opened) (enforce.Result, error) {
			return enforce.Result{Status: "ok"}, nil
		})
		took = append(took, time.Since(start))
		if err != nil || !d.Allowed() {
			b.Fatalf("%v %s", err, d.Sentence())
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
}
