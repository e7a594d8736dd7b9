package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ambit-iam/ambit"

// vocabulary may be imported by everybody inside.
var vocabulary = []string{"internal/principal", "internal/fault"}

// rooms is the order of the core, column by column: a room imports rooms of
// columns to its left only.
var rooms = [][]string{
	{"ledger", "delegation", "policy", "mapping"},
	{"directory", "credential", "relation", "grant", "intent"},
	{"decision"},
	{"broker", "history", "posture", "review", "organisation"},
	{"evidence"},
}

// outside says which modules a package may import beyond the standard library.
// Packages under core and proof that are not named here have none; other
// packages are not restricted by this table.
var outside = map[string][]string{
	"proof":                    {"golang.org/x/mod"},
	"internal/core/ledger":     {"golang.org/x/mod"},
	"internal/core/history":    {"golang.org/x/mod"},
	"internal/core/policy":     {"github.com/cedar-policy/cedar-go"},
	"internal/core/credential": {"github.com/go-jose/go-jose/v4"},
	"internal/core/mapping":    {"github.com/google/cel-go", "cel.dev/cel-go"},
	"internal/core/relation":   {"github.com/google/cel-go", "cel.dev/cel-go"},
}

// A pkg is one package's non-test sources.
type pkg struct {
	path    string // relative to the module
	imports []string
	files   map[string]*ast.File
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// load parses every package of the main module. It reads sources with go/parser
// so that the test cache sees a change.
func load(t *testing.T) []pkg {
	t.Helper()
	top, byPath := root(t), map[string]*pkg{}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, path)
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if rel != "." && (nested == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		p := byPath[dir]
		if p == nil {
			p = &pkg{path: dir, files: map[string]*ast.File{}}
			byPath[dir] = p
		}
		p.files[filepath.Base(path)] = f
		for _, im := range f.Imports {
			name, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			p.imports = append(p.imports, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []pkg
	for _, p := range byPath {
		slices.Sort(p.imports)
		p.imports = slices.Compact(p.imports)
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b pkg) int { return strings.Compare(a.path, b.path) })
	return out
}

// allowed reports whether a package of ours may import another of ours.
func allowed(from, to string) bool {
	if from == to || strings.HasPrefix(from, "test/") {
		return true
	}
	if slices.Contains(vocabulary, to) && strings.HasPrefix(from, "internal/") && !slices.Contains(vocabulary, from) {
		return true
	}
	is := func(p, tree string) bool { return p == tree || strings.HasPrefix(p, tree+"/") }
	any := func(trees ...string) bool {
		return slices.ContainsFunc(trees, func(tree string) bool { return is(to, tree) })
	}
	switch {
	case from == "cmd/ambit":
		return to == "internal/cli"
	case is(from, "internal/cli"):
		return any("internal/cli", "internal/server", "client", "internal/demo", "proof", "internal/stdio", "internal/schema", "internal/core")
	case from == "internal/server":
		return is(to, "internal") && !any("internal/cli", "internal/demo")
	case is(from, "internal/face"):
		if any("internal/core/decision", "internal/core/broker", "internal/core/grant") {
			return false // the spine re-exports what faces render
		}
		if is(from, "internal/face/workload") && is(to, "internal/attest") {
			return true
		}
		return any("internal/enforce", "internal/core", "internal/route", "internal/schema", "internal/fetch", "internal/jsonrpc", "proof")
	case from == "internal/route", from == "internal/fetch", from == "internal/stdio", from == "internal/jsonrpc", is(from, "proof"), is(from, "internal/fault"), is(from, "internal/principal"), is(from, "internal/table"):
		return is(from, "proof") && is(to, "proof")
	case is(from, "internal/schema"):
		return to == "internal/core/relation"
	case is(from, "internal/demo"):
		return any("client", "proof", "internal/demo")
	case from == "internal/enforce":
		return any("internal/core", "proof")
	case is(from, "internal/store"):
		return any("internal/store", "internal/core", "proof")
	case from == "internal/keyring", is(from, "internal/attest"), is(from, "internal/connect"):
		return any("internal/core", "internal/fetch", "internal/stdio", "internal/jsonrpc", "proof")
	case is(from, "internal/core"):
		return is(to, "proof") || to == "internal/table" || room(to) == room(from) || column(to) < column(from) && column(to) >= 0
	case is(from, "client"):
		return false
	}
	return false
}

// room returns the room that a package is in, "" for none.
func room(path string) string {
	name, _ := strings.CutPrefix(path, "internal/core/")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// column returns the column of a room, -1 for what is none.
func column(path string) int {
	name, ok := strings.CutPrefix(path, "internal/core/")
	name, _, _ = strings.Cut(name, "/") // a package inside a room is of the room
	for i, c := range rooms {
		if ok && slices.Contains(c, name) {
			return i
		}
	}
	return -1
}

func TestImports(t *testing.T) {
	for _, p := range load(t) {
		if strings.HasPrefix(p.path, "internal/core/") && column(p.path) < 0 {
			t.Errorf("%s is in no column of the design: give it one, or another place", p.path)
		}
		for _, im := range p.imports {
			if ours, ok := strings.CutPrefix(im, module+"/"); ok {
				if !allowed(p.path, ours) {
					t.Errorf("%s imports %s, which the design does not allow", p.path, ours)
				}
				continue
			}
			if !strings.Contains(strings.SplitN(im, "/", 2)[0], ".") {
				continue // standard library; TestPurity asks about it
			}
			mods, restricted := outside[p.path]
			if r := room(p.path); !restricted && column(p.path) >= 0 {
				mods, restricted = outside["internal/core/"+r]
			}
			restricted = restricted || strings.HasPrefix(p.path, "internal/core/") || strings.HasPrefix(p.path, "proof") ||
				slices.Contains([]string{"client", "internal/fault", "internal/principal", "internal/table"}, p.path)
			if restricted && !slices.ContainsFunc(mods, func(m string) bool { return im == m || strings.HasPrefix(im, m+"/") }) {
				t.Errorf("%s imports %s, which the design does not allow", p.path, im)
			}
			if strings.HasPrefix(im, "github.com/modelcontextprotocol/") && !strings.HasPrefix(p.path, "internal/demo") {
				t.Errorf("%s imports the MCP SDK: never on the data path", p.path)
			}
		}
	}
}

// TestTable proves that the table can fail: each planted import is refused.
func TestTable(t *testing.T) {
	for _, bad := range [][2]string{
		{"internal/face/mcp", "internal/core/decision"}, {"internal/face/mcp", "internal/core/broker"},
		{"internal/face/mcp", "internal/core/grant"}, {"internal/face/mcp", "internal/store"},
		{"internal/face/mcp", "internal/face/oauth"}, {"internal/core/ledger", "internal/core/decision"},
		{"internal/core/policy", "internal/core/mapping"}, {"internal/core/decision", "internal/enforce"},
		{"internal/enforce", "internal/store"}, {"proof", "internal/core/ledger"}, {"client", "internal/fault"},
		{"internal/store", "internal/enforce"}, {"internal/demo", "internal/server"}, {"cmd/ambit", "internal/server"},
		{"internal/route", "internal/core/ledger"}, {"internal/fault", "internal/principal"},
	} {
		if allowed(bad[0], bad[1]) {
			t.Errorf("%s may import %s", bad[0], bad[1])
		}
	}
}

func TestPackageDocs(t *testing.T) {
	for _, p := range load(t) {
		doc, ok := p.files["doc.go"]
		if main, command := p.files["main.go"]; command && main.Name.Name == "main" {
			doc, ok = main, true
		}
		if !ok || doc.Doc == nil || len(doc.Doc.Text()) < 60 {
			t.Errorf("%s has no doc.go that says what it owns", p.path)
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, p := range load(t) {
		for name, f := range p.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s/%s has an init: construct in server", p.path, name)
				}
			}
		}
	}
}

func TestGoMod(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "replace" || word == "exclude" {
			t.Errorf("go.mod: %s", line)
		}
	}
}

// impure is what a room may not import itself.
var impure = []string{"os", "net", "log", "math/rand", "math/rand/v2", "crypto/rand", "os/exec", "io/fs", "path/filepath", "syscall"}

// TestPurity: rooms are functions of their input. None imports the world, asks
// the time, draws entropy or keeps mutable state of its own.
func TestPurity(t *testing.T) {
	for _, p := range load(t) {
		if !strings.HasPrefix(p.path, "internal/core/") && !strings.HasPrefix(p.path, "proof") {
			continue
		}
		for _, im := range p.imports {
			logValue := im == "log/slog" && p.path == "internal/core/broker" // Opened redacts itself
			world := slices.ContainsFunc(impure, func(bad string) bool { return im == bad || strings.HasPrefix(im, bad+"/") })
			if world && im != "net/url" && im != "log/slog" || im == "log/slog" && !logValue {
				t.Errorf("%s imports %s", p.path, im)
			}
		}
		for name, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker"}, sel.Sel.Name) {
						t.Errorf("%s/%s uses time.%s: pass the time in", p.path, name, sel.Sel.Name)
					}
				}
				return true
			})
			for _, v := range written(f) {
				t.Errorf("%s/%s assigns to package variable %s", p.path, name, v)
			}
		}
	}
}

// written returns the package variables of f that some function in f assigns to.
func written(f *ast.File) (out []string) {
	vars := map[string]bool{}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					vars[n.Name] = n.Name != "_"
				}
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && a.Tok != token.DEFINE {
			for _, l := range a.Lhs {
				if ix, ok := l.(*ast.IndexExpr); ok {
					l = ix.X
				}
				if id, ok := l.(*ast.Ident); ok && vars[id.Name] && id.Obj != nil && id.Obj.Kind == ast.Var && id.Obj.Decl != nil {
					if _, local := id.Obj.Decl.(*ast.ValueSpec); local {
						out = append(out, id.Name)
					}
				}
			}
		}
		return true
	})
	return out
}

// TestDeps asks the compiler what the rooms reach through others.
func TestDeps(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", "./internal/core/...", "./proof/...")
	cmd.Dir = root(t)
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, im := range strings.Fields(string(b)) {
		if im == "net/http" || im == "database/sql" || im == "google.golang.org/grpc" {
			t.Errorf("a room reaches %s through a dependency", im)
		}
	}
}
