package orgfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/fault"
)

// The bounds on what is read, in bytes; maxPolicies is a number of files.
const (
	maxFile     = 1 << 20
	maxKey      = 16 << 10
	maxModel    = 256 << 10
	maxPolicy   = 1 << 20
	maxPolicies = 1000
	maxTotal    = 8 << 20 // of everything beside the file
)

// A File is a declarative file as it was read.
type File struct {
	Name     string
	Document organisation.Document
	where    map[string]string // place in the document → file:line:column
}

// Load reads and validates the file of a name. Relative paths in it are resolved
// against its folder. The error is fault.Malformed, fault.TooLarge or, when a
// file cannot be read, fault.NotFound; its lines begin with file:line:column.
func Load(name string) (File, error) {
	data, err := osFiles{}.read(name, maxFile)
	if err != nil {
		return File{}, err
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return File{}, fault.Wrap(fault.NotFound, err, "the folder of %s is not known", name)
	}
	return decode(name, dir, data, osFiles{})
}

// Where returns the file, line and column of a place in the document
// ("blueprints[0].owner"), or of the closest thing around it.
func (f File) Where(at string) string {
	for at != "" {
		if w, ok := f.where[at]; ok {
			return w
		}
		at = at[:max(strings.LastIndexByte(at, '.'), strings.LastIndexByte(at, '['), 0)]
	}
	return f.Name
}

// Explain gives an error about the document's places (from Validate or NewPlan)
// lines and columns; other errors are returned as they are.
func (f File) Explain(err error) error {
	ps, ok := organisation.Found(err)
	if !ok {
		return err
	}
	return fault.New(fault.Malformed, "%s", ps.Text(f.Where))
}

// files is where the things beside the file come from.
type files interface {
	// read returns what a regular file of at most max bytes holds.
	read(path string, max int64) ([]byte, error)
	// list returns the names of the .cedar files in a folder, sorted.
	list(dir string) ([]string, error)
}

type osFiles struct{}

func (osFiles) read(path string, max int64) ([]byte, error) {
	// Stat first: opening a pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Malformed, "%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if int64(len(b)) > max {
		return nil, fault.New(fault.TooLarge, "%s is longer than %d kB", path, max>>10)
	}
	return b, nil
}

func (osFiles) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".cedar") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// unreadable says why, without the path twice.
func unreadable(path string, err error) error {
	why := err
	if p, ok := errors.AsType[*os.PathError](err); ok {
		why = p.Err
	}
	return fault.Wrap(fault.NotFound, err, "%s cannot be read: %v", path, why)
}

// message is what an error says to people.
func message(err error) string {
	text, hint := fault.Safe(err)
	if fault.KindOf(err) == fault.Internal {
		text = err.Error()
	}
	if hint != "" {
		text = fmt.Sprintf("%s; %s", text, hint)
	}
	return text
}
