package secret

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
)

// maxFile is the most bytes of a file that holds a secret: 64 KiB.
const maxFile = 64 << 10

// A Source resolves references to the environment and to files. Its zero value
// is ready; it is safe for concurrent use.
type Source struct {
	// Lookup reads a variable; nil means os.LookupEnv.
	Lookup func(name string) (string, bool)
}

var _ broker.Source = Source{}

// Resolve implements broker.Source. It returns what ref names, without ref's
// prefix: a plain value as it is, a variable as it is, a file without one line
// break at its end. A secret that is empty or holds a NUL or a line break is
// refused, because neither a header nor an environment can carry it. Errors are
// fault.Malformed when ref itself is wrong and fault.Unavailable otherwise; they
// name the reference, never the value.
func (s Source) Resolve(ctx context.Context, ref mapping.Secret) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "the call ended before its secret was read")
	}
	var value, where string
	var err error
	switch {
	case ref.FromEnv != "" && ref.FromFile == "" && ref.Value == "":
		where = "environment variable " + ref.FromEnv
		value, err = s.variable(ref.FromEnv)
	case ref.FromFile != "" && ref.FromEnv == "" && ref.Value == "":
		where = "file " + ref.FromFile
		value, err = file(ref.FromFile)
	case ref.FromEnv == "" && ref.FromFile == "":
		where, value = "the value", ref.Value
	default:
		return "", fault.New(fault.Malformed, "a secret has more than one of value, env and file")
	}
	switch {
	case err != nil:
		return "", err
	case value == "" && where != "the value":
		return "", fault.New(fault.Unavailable, "%s is empty", where)
	case strings.ContainsAny(value, "\x00\r\n"):
		return "", fault.New(fault.Unavailable, "%s holds a NUL or a line break, which no header or environment can carry", where)
	}
	return value, nil
}

func (s Source) variable(name string) (string, error) {
	lookup := s.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	v, ok := lookup(name)
	if !ok {
		return "", fault.New(fault.Unavailable, "environment variable %s is not set", name).
			WithHint("set it where the server is started")
	}
	return v, nil
}

// file reads the secret in the file name. The checks are made on the open file,
// not on its name, so that nothing can be put in its place between the two. A
// link is followed: that is how orchestrators mount secrets.
func file(name string) (string, error) {
	if !filepath.IsAbs(name) {
		return "", fault.New(fault.Malformed, "file %s: want an absolute path", name)
	}
	b, err := read(name, maxFile, func(mode fs.FileMode, size int64) error {
		switch {
		case !mode.IsRegular():
			return fault.New(fault.Unavailable, "file %s is not a regular file", name)
		case public(mode):
			return fault.New(fault.Unavailable, "file %s is open to every user of this machine", name).
				WithHint("chmod o= %s", name)
		case size > maxFile:
			return fault.New(fault.Unavailable, "file %s is larger than %d bytes", name, maxFile)
		}
		return nil
	})
	switch {
	case err != nil && fault.KindOf(err) == fault.Unavailable:
		return "", err
	case err != nil:
		return "", fault.Wrap(fault.Unavailable, err, "file %s cannot be read", name)
	case len(b) > maxFile:
		return "", fault.New(fault.Unavailable, "file %s is larger than %d bytes", name, maxFile)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if len(text) < len(b) {
		text = strings.TrimSuffix(text, "\r")
	}
	return text, nil
}

// public reports whether users who are neither owner nor group may do anything
// with a file of mode m: who may write it may plant a secret.
func public(m fs.FileMode) bool { return m.Perm()&0o007 != 0 }
