//go:build !unix

package secret

import "os"

func open(name string) (*os.File, error) { return os.Open(name) }
