package keyring

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ambit-iam/ambit/internal/fault"
)

// maxFile bounds a key file.
const maxFile = 16 << 10

// prepare makes dir if it is absent and refuses one that others may enter.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Internal, err, "key directory %s cannot be made", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "key directory %s cannot be read", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fault.New(fault.Malformed, "key directory %s has mode %04o: others may enter it", dir, info.Mode().Perm()).
			WithHint("chmod 700 %s", dir)
	}
	return nil
}

// read returns the bytes of a key file that nobody but its owner may read. What
// is checked is the opened file, not its name.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fault.New(fault.Malformed, "key file %s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(fault.Malformed, "key file %s has mode %04o: others may read it", path, info.Mode().Perm()).
			WithHint("chmod 600 %s, and replace the key if anybody else has an account here", path)
	case info.Size() > maxFile:
		return nil, fault.New(fault.Malformed, "key file %s is larger than %d bytes", path, maxFile)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// create writes b to path, durably, unless the file exists; then it returns
// fs.ErrExist and changes nothing, so that of two servers that start at once
// both end with the same key. A crash leaves no half a key behind.
func create(path string, b []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readOrCreate returns the key file at path, made of fresh() if there is none.
func readOrCreate(path string, fresh func() ([]byte, error)) (b []byte, made bool, err error) {
	b, err = read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, false, err
	}
	if b, err = fresh(); err != nil {
		return nil, false, err
	}
	if err = create(path, b); errors.Is(err, fs.ErrExist) {
		b, err = read(path)
		return b, false, err
	}
	return b, err == nil, err
}
