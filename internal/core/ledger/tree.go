package ledger

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/principal"
)

const (
	tileHeight = 8 // C2SP tlog-tiles
	tileWidth  = 1 << tileHeight
)

// Grow appends leaves, the bytes of whole leaves, to the tree of size entries
// whose hashes read reads. It returns every tile that changed, lowest level
// first, the last of a level possibly partial, and the root of the grown tree
// (RFC 6962). It reads at most one tile's worth of hashes a level and writes
// nothing: the floor stores the tiles with the assignments they belong to.
func Grow(size int64, leaves [][]byte, read tlog.HashReader) ([]Tile, tlog.Hash, error) {
	added := make([]tlog.Hash, len(leaves))
	for i, leaf := range leaves {
		added[i] = tlog.RecordHash(leaf)
	}
	var tiles []Tile
	for level := 0; len(added) > 0; level++ {
		old := size >> (tileHeight * level) // hashes that this level had
		hashes, err := edge(level, old, read)
		if err != nil {
			return nil, tlog.Hash{}, err
		}
		hashes = append(hashes, added...)
		added = added[:0:0]
		for n := old / tileWidth; len(hashes) > 0; n++ {
			w := min(len(hashes), tileWidth)
			tiles = append(tiles, Tile{Level: level, N: n, Width: w, Data: join(hashes[:w])})
			if w == tileWidth {
				added = append(added, fold(hashes[:w]))
			}
			hashes = hashes[w:]
		}
	}
	root, err := tlog.TreeHash(size+int64(len(leaves)), overlay(tiles, read))
	if err != nil {
		return nil, tlog.Hash{}, err
	}
	return tiles, root, nil
}

// edge reads the hashes of the partial tile at the right edge of a level that
// holds n hashes.
func edge(level int, n int64, read tlog.HashReader) ([]tlog.Hash, error) {
	if n%tileWidth == 0 {
		return nil, nil
	}
	indexes := make([]int64, n%tileWidth)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(tileHeight*level, n/tileWidth*tileWidth+int64(i))
	}
	return read.ReadHashes(indexes)
}

// fold returns the root of a complete subtree.
func fold(hashes []tlog.Hash) tlog.Hash {
	level := append([]tlog.Hash(nil), hashes...)
	for len(level) > 1 {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

func join(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// overlay reads from tiles what they hold and everything else from below.
func overlay(tiles []Tile, below tlog.HashReader) tlog.HashReader {
	type place struct {
		level int
		n     int64
	}
	at := make(map[place]Tile, len(tiles))
	for _, t := range tiles {
		at[place{t.Level, t.N}] = t
	}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			want := tlog.TileForIndex(tileHeight, x)
			var err error
			if t, ok := at[place{want.L, want.N}]; ok {
				want.W = t.Width
				hashes[i], err = tlog.HashFromTile(want, t.Data, x)
			} else {
				var one []tlog.Hash
				if one, err = below.ReadHashes([]int64{x}); err == nil {
					hashes[i] = one[0]
				}
			}
			if err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

// TileReader returns a reader of the hashes in log's stored tiles. It checks
// nothing: compare a root computed through it with one that was signed. It
// keeps what it read, so it serves one tree size and one goroutine; ctx bounds
// its reads.
func TileReader(ctx context.Context, log Log, tenant principal.UID) tlog.HashReader {
	return &tiles{ctx: ctx, log: log, tenant: tenant, seen: map[tlog.Tile][]byte{}}
}

// tiles reads tiles of one log; it is both a tlog.HashReader over them and a
// tlog.TileReader for tlog.TileHashReader. Those interfaces know no context, so
// it carries one for the length of one computation.
type tiles struct {
	ctx    context.Context
	log    Log
	tenant principal.UID
	seen   map[tlog.Tile][]byte // by coordinate with W 0: the widest read
	failed error                // what log answered, when reading failed
}

// blame tells a store that could not be read, whose own error it returns, from
// tiles that were read and contradict each other.
func (r *tiles) blame(err error, format string, args ...any) error {
	if r.failed != nil {
		return r.failed
	}
	return broken(format+": %v", append(args, err)...)
}

// ReadHashes implements tlog.HashReader.
func (r *tiles) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		t := tlog.TileForIndex(tileHeight, x)
		data, err := r.tile(t)
		if err != nil {
			return nil, err
		}
		if hashes[i], err = tlog.HashFromTile(t, data, x); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// Height implements tlog.TileReader.
func (r *tiles) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (r *tiles) ReadTiles(ts []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(ts))
	for i, t := range ts {
		d, err := r.tile(t)
		if err != nil {
			return nil, err
		}
		data[i] = d[:t.W*tlog.HashSize]
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader; what was read is stored already.
func (r *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *tiles) tile(t tlog.Tile) ([]byte, error) {
	key := tlog.Tile{H: t.H, L: t.L, N: t.N}
	if data := r.seen[key]; len(data) >= t.W*tlog.HashSize {
		return data, nil
	}
	data, err := r.log.ReadTile(r.ctx, r.tenant, t.L, t.N, t.W)
	if err != nil {
		r.failed = err
		return nil, err
	}
	if len(data) < t.W*tlog.HashSize {
		return nil, broken("tile %s of ledger %s holds %d bytes, want %d", t.Path(), r.tenant, len(data), t.W*tlog.HashSize)
	}
	r.seen[key] = data
	return data, nil
}
