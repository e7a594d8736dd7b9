package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A block is one fenced block of a page.
type block struct {
	lang string
	line int // of its first line
	text string
	// note is the HTML comment right above the fence: "illustrative", or
	// "file: NAME".
	note string
}

// A page is one Markdown file of the repository.
type page struct {
	name   string // relative to the root
	text   string
	blocks []block
}

var fence = regexp.MustCompile("(?m)^(?:<!-- *(.*?) *-->\n)?```([a-z]*)\n((?s:.*?))^```$")

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// pages reads every page: those at the root and those under docs.
func pages(t *testing.T) []page {
	t.Helper()
	dir := root(t)
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/design/*.md"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	var out []page
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, name)
		p := page{name: filepath.ToSlash(rel), text: string(b)}
		for _, m := range fence.FindAllStringSubmatchIndex(p.text, -1) {
			note := ""
			if m[2] >= 0 {
				note = p.text[m[2]:m[3]]
			}
			p.blocks = append(p.blocks, block{p.text[m[4]:m[5]], 1 + strings.Count(p.text[:m[6]], "\n"), p.text[m[6]:m[7]], note})
		}
		out = append(out, p)
	}
	return out
}

// A typed is one command that a page tells people to type.
type typed struct {
	line    int
	command string
	exit    string   // expected exit code, from a comment "# exit N"; "0" without one
	answer  []string // what the page shows of its output
}

var exits = regexp.MustCompile(`\s+# exit (\d+)$`)

// commands reads a console block: what follows "$ " is typed, a line that ends in
// \ goes on, the rest is output.
func (b block) commands() []typed {
	var out []typed
	open := false
	for i, l := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		last := len(out) - 1
		switch text, prompt := strings.CutPrefix(l, "$ "); {
		case prompt:
			out = append(out, typed{line: b.line + i, command: text, exit: "0"})
		case open:
			out[last].command += "\n" + l
		case last >= 0 && strings.TrimSpace(l) != "":
			out[last].answer = append(out[last].answer, l)
		}
		open = strings.HasSuffix(l, `\`)
	}
	for i := range out {
		if m := exits.FindStringSubmatch(out[i].command); m != nil {
			out[i].exit, out[i].command = m[1], strings.TrimSuffix(out[i].command, m[0])
		}
	}
	return out
}
