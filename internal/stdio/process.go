package stdio

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
)

// The bounds of a process unless its Command says otherwise.
const (
	// DefaultLine is the most bytes of one line from the child: 16 MiB.
	DefaultLine = 16 << 20
	// DefaultGrace is how long a child may take to leave after its input closed,
	// and again after SIGTERM.
	DefaultGrace = time.Second
	// writeTime is how long a child may leave its input unread before a Send
	// fails. Past it the child is taken for stuck.
	writeTime = 10 * time.Second
	// drainTime is how long the streams of a child that has ended are still read:
	// a descendant that left the group may hold them open for ever.
	drainTime = time.Second
)

// A Command says what to run. Only Argv is required.
type Command struct {
	Argv []string // program and arguments; looked up in PATH as exec.Command does
	Dir  string
	// Env is the whole environment, beside PATH, HOME and TMPDIR, which come from
	// this process unless Env names them. It may hold secrets: it is never logged.
	Env map[string]string
	// MaxLine bounds one line from the child; 0 means DefaultLine.
	MaxLine int
	// Grace is the patience of Close at each of its two steps; 0 means DefaultGrace.
	Grace time.Duration
	// Log takes the child's standard error at debug; nil drops it.
	Log *slog.Logger
}

// ErrClosed is in the tree of every error that follows the end of the process.
var ErrClosed = errors.New("the process has ended")

// A Process is a running child. Send and Close are safe for concurrent use;
// Receive belongs to one reader.
type Process struct {
	cmd   *exec.Cmd
	grace time.Duration
	limit int
	in    *os.File // our ends of the child's streams
	out   *os.File
	errs  *os.File
	lines *bufio.Reader

	write  sync.Mutex    // one line at a time; guards stuck
	stuck  error         // why no further line may be written
	group  sync.Mutex    // guards reaped
	reaped bool          // the child's number may belong to somebody else now
	ended  chan struct{} // closed when the child is reaped
	status error         // how it ended; readable after ended
	logged chan struct{} // closed when standard error is read to its end
}

// Start runs c. Whoever starts a process MUST Close it. The error is a fault.Upstream that names the program, not its
// arguments or environment.
func Start(c Command) (*Process, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, fault.New(fault.Malformed, "a stdio server needs a command")
	}
	p := &Process{grace: c.Grace, limit: c.MaxLine, ended: make(chan struct{}), logged: make(chan struct{})}
	if p.grace == 0 {
		p.grace = DefaultGrace
	}
	if p.limit == 0 {
		p.limit = DefaultLine
	}
	p.cmd = exec.Command(c.Argv[0], c.Argv[1:]...)
	p.cmd.Dir, p.cmd.Env = c.Dir, environment(c.Env)
	isolate(p.cmd)
	theirs, err := p.pipes()
	if err == nil {
		err = p.start()
	}
	for _, f := range theirs {
		_ = f.Close() // the child has its own copies
	}
	if err != nil {
		for _, f := range []*os.File{p.in, p.out, p.errs} {
			_ = f.Close() // one that was not made says so, harmlessly
		}
		return nil, fault.Wrap(fault.Upstream, err, "%s does not start", c.Argv[0]).
			WithHint("the command must exist on the server's PATH and be executable")
	}
	p.lines = bufio.NewReaderSize(p.out, min(32<<10, p.limit+1))
	go p.copyErrors(c.Log)
	return p, nil
}

// pipes makes the three streams. Our ends are plain pipes, so that they take
// deadlines and closing them wakes whoever waits on them.
func (p *Process) pipes() (theirs []*os.File, err error) {
	pair := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	stdin, in := pair()
	out, stdout := pair()
	errs, stderr := pair()
	p.in, p.out, p.errs = in, out, errs
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, stderr
	return []*os.File{stdin, stdout, stderr}, err
}

// start forks on a thread that stays until the child is reaped: the kernel ties
// Pdeathsig to the thread that forked, and a thread of Go's pool may end while
// this process lives on (golang.org/issue/27505).
func (p *Process) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.status = await(p.cmd, func() {
			p.group.Lock()
			defer p.group.Unlock()
			p.reaped = true
		})
		// What the child wrote last may still be in the pipes.
		deadline := time.Now().Add(drainTime)
		_ = p.out.SetReadDeadline(deadline)
		_ = p.errs.SetReadDeadline(deadline)
		close(p.ended)
	}()
	return <-started
}

// kill signals the child's group, unless the child is reaped.
func (p *Process) kill(force bool) {
	p.group.Lock()
	defer p.group.Unlock()
	if !p.reaped {
		terminate(p.cmd, force)
	}
}

// environment renders env with PATH, HOME and TMPDIR added where it lacks them,
// in a fixed order.
func environment(env map[string]string) []string {
	list := make([]string, 0, len(env)+3)
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	for _, k := range []string{"PATH", "HOME", "TMPDIR"} {
		if _, given := env[k]; given {
			continue
		}
		if v, ok := os.LookupEnv(k); ok {
			list = append(list, k+"="+v)
		}
	}
	slices.Sort(list)
	return list
}

// Send writes line, which MUST NOT hold a line break, and the break that ends it.
// sent is false only if the child got nothing of it. A child that leaves its
// input unread is killed, because half a line would spoil the next.
func (p *Process) Send(line []byte) (sent bool, err error) {
	p.write.Lock()
	defer p.write.Unlock()
	if p.stuck != nil {
		return false, p.stuck
	}
	select {
	case <-p.ended:
		return false, p.end()
	default:
	}
	_ = p.in.SetWriteDeadline(time.Now().Add(writeTime))
	n, err := p.in.Write(append(line[:len(line):len(line)], '\n'))
	if err != nil {
		p.stuck = errors.Join(ErrClosed, err)
		p.kill(true)
		return n > 0, p.stuck
	}
	return true, nil
}

// Receive returns the next line without its break, as a slice of its own. After
// the last line it returns io.EOF; a line beyond the bound is an error, and so is
// everything after it, because there is no telling where the next one starts.
func (p *Process) Receive() ([]byte, error) {
	var line []byte
	for {
		part, err := p.lines.ReadSlice('\n')
		if len(line)+len(part) > p.limit {
			p.kill(true)
			return nil, fault.New(fault.TooLarge, "the server wrote a line of more than %d bytes", p.limit)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			if line = trim(line); len(line) > 0 {
				return line, nil
			}
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return nil, io.EOF // half a line is no message
		default:
			return nil, err
		}
	}
}

func trim(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// Ended is closed once the child has ended, its group is killed and it is reaped.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// end is the error of a child that has ended.
func (p *Process) end() error {
	if p.status != nil {
		return errors.Join(ErrClosed, p.status)
	}
	return ErrClosed
}

// Close ends the child as MCP asks: it closes its input, waits, sends SIGTERM to
// the group, waits, and kills the group. It returns when the child is reaped and
// the streams are closed. A cancelled ctx skips the waiting, not the killing. It
// may be called more than once.
func (p *Process) Close(ctx context.Context) {
	_ = p.in.Close()
	for _, force := range []bool{false, true} {
		timer := time.NewTimer(p.grace)
		select {
		case <-p.ended:
		case <-timer.C:
			p.kill(force)
		case <-ctx.Done():
			p.kill(true)
		}
		timer.Stop()
	}
	<-p.ended
	_ = p.out.Close()
	<-p.logged
}
