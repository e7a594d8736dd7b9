//go:build !unix

package store

import (
	"os"

	"github.com/ambit-iam/ambit/internal/fault"
)

// lockFile refuses: without a lock that the kernel releases, two processes could
// write to one store.
func lockFile(path string) (*os.File, error) {
	return nil, fault.New(fault.Unavailable, "the embedded store needs a Unix system: %s cannot be locked here", path)
}
