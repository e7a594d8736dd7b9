//go:build !unix

package secret

import (
	"io"
	"io/fs"
	"os"
)

// read returns what the file name holds, up to max bytes, once accept has seen
// the open file's mode and size.
func read(name string, max int64, accept func(fs.FileMode, int64) error) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := accept(info.Mode(), info.Size()); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, max+1))
}
