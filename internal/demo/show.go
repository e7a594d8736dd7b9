package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// width is where lines end, in columns.
	width = 120
	// The columns of a step: its text, its verdict, and why.
	textColumn, verdictColumn = 5, 41
	reasonColumn              = verdictColumn + 9
	// patience is how long something may take before it is said what it is.
	patience = 300 * time.Millisecond
)

// A show writes the story: a line a step on out, and on err what is being done
// when that takes a while and somebody watches. Nothing of it outlives close.
type show struct {
	out, err io.Writer
	tty      bool

	mu    sync.Mutex // protects what follows
	timer *time.Timer
	shown bool // a progress line is on the terminal
}

// doing says what is going on, if it is not over soon.
func (s *show) doing(what string) {
	if !s.tty {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.timer = time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer == nil {
			return // it was over just now
		}
		fmt.Fprintf(s.err, "     %s …", what)
		s.shown = true
	})
}

// clear takes the progress line away. s.mu is held.
func (s *show) clear() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.shown {
		fmt.Fprint(s.err, "\r\x1b[K")
		s.shown = false
	}
}

// say writes lines as they are.
func (s *show) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// close takes away what must not stay.
func (s *show) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// A line is one line of the story.
type line struct {
	step    int // 0 for one that belongs to the step before
	text    string
	verdict string // ALLOW, DENY or ""
	why     string
	took    string
}

// tell writes a line of the story, broken where it is longer than the width.
func (s *show) tell(l line) {
	head := "     " + l.text
	if l.step > 0 {
		head = fmt.Sprintf("%3d  %s", l.step, l.text)
	}
	from := textColumn
	if l.verdict != "" {
		head = pad(pad(head, verdictColumn)+l.verdict, reasonColumn)
		from = reasonColumn
	}
	more := strings.Repeat(" ", from)
	lines := wrap(head, more, l.why)
	if last := lines[len(lines)-1]; l.took != "" {
		switch {
		case utf8.RuneCountInString(last)+3+utf8.RuneCountInString(l.took) > width:
			lines = append(lines, more+l.took)
		case l.why == "" && l.verdict != "": // it stands where the reason would
			lines[len(lines)-1] += l.took
		default:
			lines[len(lines)-1] += "   " + l.took
		}
	}
	s.say("%s", s.paint(strings.Join(lines, "\n"), l.verdict))
}

// pad fills text up to a column, with two spaces at least.
func pad(text string, column int) string {
	return text + strings.Repeat(" ", max(2, column-utf8.RuneCountInString(text)))
}

// wrap breaks text into lines, the first behind head and the others behind more.
// Spaces between words stay as they are, except where a line ends.
func wrap(head, more, text string) []string {
	lines := []string{head}
	column, gap := utf8.RuneCountInString(head), ""
	for i, word := range strings.Split(text, " ") {
		if i > 0 {
			gap += " "
		}
		if word == "" {
			continue
		}
		size := utf8.RuneCountInString(word)
		if gap != "" && column+len(gap)+size > width {
			lines = append(lines, more)
			column, gap = utf8.RuneCountInString(more), ""
		}
		lines[len(lines)-1] += gap + word
		column += len(gap) + size
		gap = ""
	}
	return lines
}

// paint colours a verdict on a terminal; the word is there without it.
func (s *show) paint(text, verdict string) string {
	colour := map[string]string{"ALLOW": "\x1b[32m", "DENY": "\x1b[31m", "VALID": "\x1b[32m", "REFUSED": "\x1b[31m"}[verdict]
	if !s.tty || colour == "" {
		return text
	}
	return strings.Replace(text, "  "+verdict, "  "+colour+verdict+"\x1b[0m", 1)
}

// ms renders a measured duration.
func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
