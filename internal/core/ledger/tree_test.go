package ledger_test

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/core/ledger"
)

// naive is tlog's own way: every hash of every level, in one slice.
type naive struct{ hashes []tlog.Hash }

func (s *naive) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(s.hashes)) {
			return nil, fmt.Errorf("hash %d of %d", x, len(s.hashes))
		}
		out[i] = s.hashes[x]
	}
	return out, nil
}

func (s *naive) add(n int64, leaf []byte) error {
	hashes, err := tlog.StoredHashes(n, leaf, s)
	s.hashes = append(s.hashes, hashes...)
	return err
}

// stored keeps tiles as a floor would: the widest at each place.
type stored map[[2]int64]ledger.Tile

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		want := tlog.TileForIndex(8, x)
		t, ok := s[[2]int64{int64(want.L), want.N}]
		if !ok || t.Width < want.W {
			return nil, fmt.Errorf("no tile %s", want.Path())
		}
		want.W = t.Width
		h, err := tlog.HashFromTile(want, t.Data, x)
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}

// Growing by batches of any size yields, at every step, the tiles that
// tlog.NewTiles asks for with the hashes of tlog's own tree, and its root.
func TestGrowIsTheTreeOfTlog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			tree  naive
			tiles = stored{}
			size  int64
		)
		batch := rapid.OneOf(rapid.IntRange(0, 20), rapid.SampledFrom([]int{255, 256, 257, 511, 512, 700}))
		for _, n := range rapid.SliceOfN(batch, 1, 6).Draw(t, "batches") {
			leaves := make([][]byte, n)
			for i := range leaves {
				leaves[i] = fmt.Appendf(nil, "leaf %d", size+int64(i))
				if err := tree.add(size+int64(i), leaves[i]); err != nil {
					t.Fatal(err)
				}
			}
			changed, root, err := ledger.Grow(size, leaves, tiles)
			if err != nil {
				t.Fatalf("Grow(%d, +%d): %v", size, n, err)
			}
			checkTiles(t, changed, tlog.NewTiles(8, size, size+int64(n)), &tree)
			for _, c := range changed {
				tiles[[2]int64{int64(c.Level), c.N}] = c
			}
			size += int64(n)
			want, err := tlog.TreeHash(size, &tree)
			if err != nil || root != want {
				t.Fatalf("root at %d is %v, want %v (%v)", size, root, want, err)
			}
		}
	})
}

func checkTiles(t *rapid.T, got []ledger.Tile, want []tlog.Tile, tree tlog.HashReader) {
	if len(got) != len(want) {
		t.Fatalf("%d tiles changed, want %d", len(got), len(want))
	}
	for i, w := range want {
		data, err := tlog.ReadTileData(w, tree)
		if err != nil {
			t.Fatal(err)
		}
		g := got[i]
		if g.Level != w.L || g.N != w.N || g.Width != w.W || string(g.Data) != string(data) {
			t.Fatalf("tile %d is %d/%d.p/%d, want %s", i, g.Level, g.N, g.Width, w.Path())
		}
	}
}

// A tree of more than one level above the leaves: 66,000 entries in one batch,
// then one more.
func TestGrowAcrossLevels(t *testing.T) {
	const n = 256*256 + 500
	var tree naive
	leaves := make([][]byte, n)
	for i := range leaves {
		leaves[i] = fmt.Appendf(nil, "leaf %d", i)
		if err := tree.add(int64(i), leaves[i]); err != nil {
			t.Fatal(err)
		}
	}
	tiles := stored{}
	for _, cut := range [][2]int{{0, n - 300}, {n - 300, n - 299}, {n - 299, n}} {
		changed, root, err := ledger.Grow(int64(cut[0]), leaves[cut[0]:cut[1]], tiles)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changed {
			tiles[[2]int64{int64(c.Level), c.N}] = c
		}
		if want, _ := tlog.TreeHash(int64(cut[1]), &tree); root != want {
			t.Fatalf("root at %d is %v, want %v", cut[1], root, want)
		}
	}
	if len(tiles[[2]int64{2, 0}].Data) != 32 {
		t.Error("level 2 holds no hash")
	}
}

func TestGrowFailsWhenTilesAreMissing(t *testing.T) {
	if _, _, err := ledger.Grow(3, [][]byte{{1}}, stored{}); err == nil {
		t.Error("Grow went on without the hashes of the edge")
	}
}

func BenchmarkGrow(b *testing.B) {
	log := filled(b, 10_000)
	leaves := make([][]byte, 800) // 50 ms at 16,000 entries a second
	for i := range leaves {
		leaves[i] = make([]byte, 900)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ledger.Grow(10_000, leaves, ledger.TileReader(context.Background(), log, tenant)); err != nil {
			b.Fatal(err)
		}
	}
}
