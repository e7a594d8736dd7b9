package docs

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// pageTime bounds one page. It takes a second or two.
const pageTime = time.Minute

// binary builds the command that pages speak of, into a folder of its own.
func binary(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "ambit"), "./cmd/ambit")
	build.Dir = root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// TestPages runs the console blocks of every page, each page as one session in a
// folder of its own, and holds what comes out to what the page shows.
func TestPages(t *testing.T) {
	bin := binary(t)
	for _, p := range pages(t) {
		run := slices.ContainsFunc(p.blocks, func(b block) bool { return b.lang == "console" && b.note != "illustrative" })
		t.Run(p.name, func(t *testing.T) {
			for _, b := range p.blocks {
				if b.lang == "console" && b.note == "illustrative" {
					illustrate(t, p, b, bin)
				}
			}
			if run {
				session(t, p, bin)
			}
		})
	}
}

// session types every command of a page into one shell; "go run ./cmd/ambit" is
// the binary that was built of it. A server that is put in
// the background gets a free port in place of 8420, is waited for, and is stopped
// at the end.
func session(t *testing.T, p page, bin string) {
	dir := t.TempDir()
	var all []typed
	for _, b := range p.blocks {
		if name, ok := strings.CutPrefix(b.note, "file: "); ok {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if b.lang == "console" && b.note == "" {
			all = append(all, b.commands()...)
		}
	}
	at := free(t)
	var script strings.Builder
	script.WriteString("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n")
	for i, c := range all {
		c.command = strings.NewReplacer("127.0.0.1:8420", at, "go run ./cmd/ambit", "ambit").Replace(c.command)
		if serve, ok := strings.CutSuffix(c.command, " &"); ok {
			fmt.Fprintf(&script, "%s --listen %s --ready-file ready.%d >out.%d 2>&1 &\n", serve, at, i, i)
			fmt.Fprintf(&script, "for t in $(seq 400); do [ -f ready.%d ] && break; sleep 0.05; done; [ -f ready.%d ]; echo $? >exit.%d\n", i, i, i)
			continue
		}
		fmt.Fprintf(&script, "{ %s\n} >out.%d 2>&1; echo $? >exit.%d\n", c.command, i, i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pageTime)
	defer cancel()
	sh := exec.CommandContext(ctx, "bash", "-c", script.String())
	sh.Dir, sh.WaitDelay = dir, 5*time.Second
	sh.Cancel = func() error { return sh.Process.Signal(os.Interrupt) }
	sh.Env = append(os.Environ(), "HOME="+dir, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"AMBIT_CONFIG_DIR="+filepath.Join(dir, "config"), "AMBIT_URL=http://"+at, "AMBIT_USER=", "AMBIT_KEY=")
	if out, err := sh.CombinedOutput(); err != nil {
		t.Errorf("the session: %v\n%s", err, out)
	}
	for i, c := range all {
		out, exit := read(dir, "out", i), read(dir, "exit", i)
		if exit = strings.TrimSpace(exit); exit != c.exit {
			t.Errorf("%s:%d: exit code %q, the page says %s\n$ %s\n%s", p.name, c.line, exit, c.exit, c.command, out)
			return // the rest follows from it
		}
		if missing := c.differs(out); missing != "" {
			t.Errorf("%s:%d: the page shows, and there is none:\n  %s\n$ %s\n%s", p.name, c.line, missing, c.command, out)
		}
	}
}

func read(dir, what string, i int) string {
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s.%d", what, i)))
	if err != nil {
		return ""
	}
	return string(b)
}

// free returns an address that nothing listens on.
func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// differs returns the first line that the page shows and the output does not
// have, in this order. "…" stands for anything.
func (c typed) differs(out string) string {
	lines := strings.Split(out, "\n")
	for _, want := range c.answer {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(want, " ")), "…", ".*") + " *$")
		i := slices.IndexFunc(lines, pattern.MatchString)
		if i < 0 {
			return want
		}
		lines = lines[i+1:]
	}
	return ""
}

var (
	words = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	flag  = regexp.MustCompile(`^--?[a-z][a-z-]*`)
)

// illustrate checks that the commands of a block that is not run exist, with
// their flags.
func illustrate(t *testing.T, p page, b block, bin string) {
	for _, c := range b.commands() {
		args := words.FindAllString(strings.ReplaceAll(c.command, "\\\n", " "), -1)
		if strings.HasPrefix(args[0], "./") {
			if info, err := os.Stat(filepath.Join(root(t), args[0])); err != nil || info.Mode()&0o111 == 0 {
				t.Errorf("%s:%d: %s is no program of the repository", p.name, c.line, args[0])
			}
		}
		if args[0] != "ambit" || len(args) == 1 {
			continue
		}
		var path, flags []string
		for _, a := range args[1:] {
			switch {
			case strings.HasPrefix(a, "-"):
				flags = append(flags, flag.FindString(a))
			case len(flags) == 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(a):
				path = append(path, a)
			}
		}
		out, err := exec.Command(filepath.Join(bin, "ambit"), append(slices.Clone(path), "--help")...).CombinedOutput()
		help := string(out)
		if err != nil || len(path) > 0 && !strings.Contains(help, "\n  ambit "+path[0]) {
			t.Errorf("%s:%d: there is no command %s", p.name, c.line, strings.Join(path, " "))
		}
		for _, f := range flags {
			if !regexp.MustCompile(`(?m)(^|[ ,])` + regexp.QuoteMeta(f) + `\b`).MatchString(help) {
				t.Errorf("%s:%d: ambit %s has no flag %s", p.name, c.line, strings.Join(path, " "), f)
			}
		}
	}
}
