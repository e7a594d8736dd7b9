package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources are the names that packages declare, by the package's name; methods
// count under their type and under the package, fields under their type.
func sources(t *testing.T) (names map[string]map[string]bool, dirs []string) {
	t.Helper()
	names = map[string]map[string]bool{}
	top := root(t)
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
		if d.Name() == "doc.go" {
			dirs = append(dirs, filepath.ToSlash(filepath.Dir(rel)))
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		declare(f, func(space, name string) {
			if names[space] == nil {
				names[space] = map[string]bool{}
			}
			names[space][name] = true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, dirs
}

func declare(f *ast.File, add func(space, name string)) {
	pkg := f.Name.Name
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			add(pkg, d.Name.Name)
			if d.Recv != nil {
				typ := d.Recv.List[0].Type
				if star, ok := typ.(*ast.StarExpr); ok {
					typ = star.X
				}
				if id, ok := typ.(*ast.Ident); ok {
					add(id.Name, d.Name.Name)
				}
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						add(pkg, n.Name)
					}
				case *ast.TypeSpec:
					add(pkg, s.Name.Name)
					members(s, add)
				}
			}
		}
	}
}

// members adds a type's fields, or an interface's methods.
func members(s *ast.TypeSpec, add func(space, name string)) {
	var list *ast.FieldList
	switch typ := s.Type.(type) {
	case *ast.StructType:
		list = typ.Fields
	case *ast.InterfaceType:
		list = typ.Methods
	default:
		return
	}
	for _, field := range list.List {
		for _, n := range field.Names {
			add(s.Name.Name, n.Name)
		}
	}
}

var (
	code     = regexp.MustCompile("`([^`\n]+)`")
	selector = regexp.MustCompile(`^([A-Za-z]+)\.([A-Za-z]+)(?:\.([A-Za-z]+))?$`)
	goFile   = regexp.MustCompile(`^[a-z0-9_/]+\.go$`)
	link     = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestNames: whatever a page calls package.Name or Type.Name is declared there.
func TestNames(t *testing.T) {
	names, _ := sources(t)
	for _, p := range pages(t) {
		for _, m := range code.FindAllStringSubmatch(p.text, -1) {
			s := selector.FindStringSubmatch(m[1])
			if s == nil || names[s[1]] == nil || m[1] == strings.ToLower(m[1]) { // "mission.create" is an action
				continue
			}
			if !names[s[1]][s[2]] || s[3] != "" && !names[s[2]][s[3]] {
				t.Errorf("%s: %s is not in the sources", p.name, m[1])
			}
		}
	}
}

// TestLinks: every link inside the repository leads somewhere, headings included.
func TestLinks(t *testing.T) {
	text := map[string]string{}
	for _, p := range pages(t) {
		text[p.name] = p.text
	}
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := p.name
			if m[1] != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(p.name), m[1]))
			}
			if _, err := os.Stat(filepath.Join(root(t), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", p.name, m[1])
				continue
			}
			if m[2] != "" && !anchors(text[target])[m[2][1:]] {
				t.Errorf("%s links to %s%s, and there is no such heading", p.name, m[1], m[2])
			}
		}
	}
}

// anchors are the names of a page's headings, as forges make them.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(strings.ReplaceAll(m[1], " ", "-"))
		out[regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, "")] = true
	}
	return out
}

// TestMap: ARCHITECTURE.md names every file it sends people to as it is, every
// room, and every table.
func TestMap(t *testing.T) {
	top := root(t)
	b, err := os.ReadFile(filepath.Join(top, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, files := string(b), map[string]bool{}
	_, dirs := sources(t)
	for _, dir := range dirs {
		list, err := filepath.Glob(filepath.Join(top, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			rel, _ := filepath.Rel(top, f)
			// "internal/core/x/y.go" may be said as "core/x/y.go" or "y.go".
			for parts := strings.Split(filepath.ToSlash(rel), "/"); len(parts) > 0; parts = parts[1:] {
				files[strings.Join(parts, "/")] = true
			}
		}
		if room, ok := strings.CutPrefix(dir, "internal/core/"); ok && !strings.Contains(room, "/") && !strings.Contains(text, "| `"+room+"` |") {
			t.Errorf("ARCHITECTURE.md does not say what the room %s owns", room)
		}
	}
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		if goFile.MatchString(m[1]) && !files[m[1]] {
			t.Errorf("ARCHITECTURE.md: there is no %s", m[1])
		}
	}
	scripts, err := filepath.Glob(filepath.Join(top, "internal/store/migration/*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scripts {
		sql, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`CREATE TABLE (\w+)`).FindAllStringSubmatch(string(sql), -1) {
			if !strings.Contains(text, "`"+m[1]+"`") {
				t.Errorf("ARCHITECTURE.md does not name the table %s", m[1])
			}
		}
	}
}

// TestExamples: Go in a page is Go that compiles, in example_test.go.
func TestExamples(t *testing.T) {
	b, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, p := range pages(t) {
		for _, block := range p.blocks {
			if block.lang == "go" && !strings.Contains(flat(string(b)), flat(block.text)) {
				t.Errorf("%s:%d: this Go is not in test/docs/example_test.go, so nobody knows that it compiles", p.name, block.line)
			}
		}
	}
}

// TestPlain: no page names a machine's path or says TODO.
func TestPlain(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range regexp.MustCompile(`(?i)\bTODO\b|/(?:home|Users|root|work|tmp)/\S*`).FindAllString(p.text, -1) {
			t.Errorf("%s: %s", p.name, m)
		}
	}
}
