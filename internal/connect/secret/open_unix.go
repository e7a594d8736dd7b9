//go:build unix

package secret

import (
	"io/fs"
	"slices"
	"syscall"
)

// read returns what the file name holds, up to max bytes, and its mode and size.
// It speaks to the kernel itself, four times: a secret is read on every call, and
// os.File would make a poller's business of it. It does not wait for the writer
// of a named pipe, which is refused right after.
func read(name string, max int64, accept func(fs.FileMode, int64) error) ([]byte, error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	mode := fs.FileMode(st.Mode & 0o777)
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		mode |= fs.ModeIrregular
	}
	if err := accept(mode, st.Size); err != nil {
		return nil, err
	}
	b := make([]byte, 0, min(st.Size, max)+1)
	for {
		n, err := retry(func() (int, error) { return syscall.Read(fd, b[len(b):cap(b)]) })
		if err != nil {
			return nil, err
		}
		b = b[:len(b)+n]
		if n == 0 || int64(len(b)) > max {
			return b, nil
		}
		b = slices.Grow(b, 1) // it may have grown since
	}
}

// retry repeats a call that a signal interrupted.
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
