package store

import (
	"context"
	"database/sql"
)

// foldAfter is how many rows are written before the WAL is folded back into the
// file: some 10 MB of it.
const foldAfter = 8192

// A folder writes the pages of the WAL back to the file. SQLite would do so by
// itself inside a COMMIT, which then takes as long as the disk needs for
// megabytes, and would ignore that an fsync of the file failed. Here another
// connection copies while commits go on; the writer then copies the little that
// came meanwhile, so that the WAL starts again from its beginning; and a failure
// stops the store like any other of the disk.
type folder struct {
	reads   *sql.DB
	written int        // rows since the last fold
	done    chan error // of the fold under way, nil when there is none
}

// step is called by the writer between transactions. Its error is fatal.
func (f *folder) step(ctx context.Context, w *writer) error {
	switch {
	case f.done != nil:
		select {
		case err := <-f.done:
			f.done, f.written = nil, 0
			if err != nil {
				return err
			}
			return w.exec(ctx, foldSQL)
		default:
		}
	case f.written >= foldAfter:
		done := make(chan error, 1)
		f.done = done
		go func() {
			_, err := f.reads.ExecContext(ctx, foldSQL)
			done <- err
		}()
	}
	return nil
}

// finish waits for a fold that is under way.
func (f *folder) finish() error {
	if f.done == nil {
		return nil
	}
	return <-f.done
}

// foldSQL copies what no reader holds back, and waits for nobody.
const foldSQL = "PRAGMA wal_checkpoint(PASSIVE)"
