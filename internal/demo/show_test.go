package demo

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func TestShowTell(t *testing.T) {
	long := strings.Repeat("because of something ", 20)
	for _, c := range []struct {
		name string
		line line
		want string
	}{
		{"step", line{step: 3, text: "what", took: "1.0 ms"}, "  3  what   1.0 ms\n"},
		{"verdict", line{text: "a → b", verdict: "DENY", why: "link 1"}, "     a → b" + strings.Repeat(" ", 31) + "DENY     link 1\n"},
		{"aside", line{why: "of four two"}, "     of four two\n"},
	} {
		var out bytes.Buffer
		(&show{out: &out}).tell(c.line)
		if out.String() != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, out.String(), c.want)
		}
	}
	for _, l := range []line{{why: long, took: "1.0 ms"}, {step: 12, text: strings.Repeat("t", 60), verdict: "ALLOW", why: long, took: "4.0 ms after it"}} {
		var out bytes.Buffer
		(&show{out: &out}).tell(l)
		fits(t, out.String())
		if got, want := strings.Fields(out.String()), strings.Fields(l.why+l.took); !strings.HasSuffix(strings.Join(got, ""), strings.Join(want, "")) {
			t.Errorf("words were lost: %q", out.String())
		}
	}
}

func TestFold(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 40))
	got := fold("     ", "│  ├─ "+long)
	fits(t, got)
	lines := strings.Split(got, "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[1], "     │  │    word") {
		t.Errorf("got\n%s", got)
	}
	if got := fold("  ", "└─ short   entry 1 → 2"); got != "  └─ short   entry 1 → 2" {
		t.Errorf("a line that fits was changed: %q", got)
	}
}

func fits(t *testing.T, text string) {
	t.Helper()
	for l := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(l, "\n")); n > width {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// Progress is for somebody who watches, when it takes a while, and leaves nothing
// behind.
func TestShowProgress(t *testing.T) {
	var out, err locked
	s := &show{out: io.Discard, err: &err, tty: true}
	s.doing("something quick")
	s.say("done")
	s.doing("something slow")
	time.Sleep(patience + 200*time.Millisecond)
	s.say("done")
	s.close()
	if got, want := err.String(), "     something slow …\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s = &show{out: &out, err: &err}
	s.doing("something slow")
	s.tell(line{text: "x", verdict: "ALLOW"})
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("colour without a terminal: %q", out.String())
	}
}

// locked is a buffer that a timer may write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
