//go:build unix

package store

import (
	"os"
	"syscall"

	"github.com/ambit-iam/ambit/internal/fault"
)

// lockFile takes the lock that says who has the store open. The kernel releases
// it when the process ends, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the lock file %s cannot be opened", path)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // it was never locked
		return nil, fault.Wrap(fault.Conflict, err, "another process has the store open: %s is locked", path).
			WithHint("stop the other server, or use another data directory")
	}
	return f, nil
}
