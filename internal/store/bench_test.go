//go:build unix

package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
)

// BenchmarkCommit is the commit of an allowed call: one condition, one charge,
// one entry with a payload of 600 bytes, durable before it returns. It reports
// commits a second, CPU of the whole process for each, and the disk's own rate.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchCommit(b, callers, false) })
	}
	b.Run("callers=128,once", func(b *testing.B) { benchCommit(b, 128, true) })
}

func benchCommit(b *testing.B, callers int, once bool) {
	s, tenant, mint := benchStore(b)
	missions := make([]principal.UID, callers)
	for i := range missions {
		missions[i] = mint.New(principal.Mission)
	}
	payload := append(append([]byte(`{"arguments":"`), bytes.Repeat([]byte("x"), 584)...), `"}`...)
	limit := ledger.Unlimited()
	limit.Calls = 1 << 40
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime(b)
	took := make([][]time.Duration, callers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			ctx := context.Background()
			for next.Add(1) <= int64(b.N) {
				c := ledger.Commit{
					Tenant: tenant, At: -1,
					Conditions: []ledger.Condition{{Head: missions[i]}},
					Charges:    []ledger.Charge{{Head: missions[i], Limit: limit, Calls: 1}},
					Entry: ledger.Entry{
						ID: mint.New(principal.Entry), Time: time.Now(), Kind: ledger.Decision, Actor: missions[i], Origin: missions[i],
						Mission: missions[i], Hop: missions[i], Run: missions[i], Server: missions[i], Action: "read",
						Decision: "allow", Bound: "dpop", Payload: payload,
					},
				}
				if once {
					c.Once = []ledger.Once{{Key: string(c.Entry.ID), Expiry: time.Now().Add(time.Minute)}}
				}
				asked := time.Now()
				if _, err := s.Commit(ctx, c); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(asked))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	n, all := float64(b.N), slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(all[len(all)-1].Microseconds()), "max-µs")
	b.ReportMetric(n/time.Since(start).Seconds(), "commits/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/1000/n, "cpu-µs/op")
	b.ReportMetric(fsyncRate(b), "fsync/s")
}

// BenchmarkSequence is what the sequencer writes for 1,024 entries.
func BenchmarkSequence(b *testing.B) {
	s, tenant, mint := benchStore(b)
	ctx := context.Background()
	run := mint.New(principal.Run)
	const batch = 1024
	n := int64(0)
	for b.Loop() {
		b.StopTimer()
		var wg sync.WaitGroup
		for range batch {
			wg.Go(func() {
				_, err := s.Commit(ctx, ledger.Commit{Tenant: tenant, At: -1, Entry: ledger.Entry{
					ID: mint.New(principal.Entry), Time: time.Now(), Kind: ledger.Decision, Run: run, Payload: bytes.Repeat([]byte("7"), 600)}})
				if err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		as := make([]ledger.Assigned, batch)
		for i := range as {
			as[i] = ledger.Assigned{N: n + int64(i) + 1, Index: n + int64(i), RunN: n + int64(i) + 1}
		}
		b.StartTimer()
		if err := s.Sequence(ctx, tenant, n, as, nil); err != nil {
			b.Fatal(err)
		}
		n += batch
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkLoad is the start of a snapshot with many tuples.
func BenchmarkLoad(b *testing.B) {
	s, tenant, mint := benchStore(b)
	ctx := context.Background()
	const tuples = 100_000
	rows := make([]ledger.Row, 0, tuples)
	for i := range tuples {
		key := fmt.Sprintf("patient:P%d#care_team@user:usr_%026d", i, i%1000)
		rows = append(rows, ledger.Row{Kind: "tuple", Key: key,
			Body: fmt.Appendf(nil, `{"object":"patient:P%d","relation":"care_team","subject":"user:usr_%026d"}`, i, i%1000)})
	}
	start := time.Now()
	if _, err := s.Commit(ctx, ledger.Commit{Tenant: tenant, At: -1, Rows: rows, Entry: ledger.Entry{
		ID: mint.New(principal.Entry), Time: time.Now(), Kind: ledger.Change}}); err != nil {
		b.Fatal(err)
	}
	wrote := tuples / time.Since(start).Seconds()
	for b.Loop() {
		if _, got, err := s.Load(ctx, tenant); err != nil || len(got) != tuples {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(tuples*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(wrote, "written-rows/s")
}

func benchStore(b *testing.B) (*store.Store, principal.UID, principal.Minter) {
	b.Helper()
	mint := minter()
	s, err := store.Open(context.Background(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	tenant := mint.New(principal.Tenant)
	if err := s.Init(context.Background(), tenant, "https://ambit.example"); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	return s, tenant, mint
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fsyncRate measures append and fsync of 4 KiB on the disk the benchmark uses.
func fsyncRate(b *testing.B) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "baseline"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	start, n := time.Now(), 0
	for ; time.Since(start) < 200*time.Millisecond; n++ {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}
