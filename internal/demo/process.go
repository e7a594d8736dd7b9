package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// grace is how long a process may take to end once it was asked to.
	grace = 3 * time.Second
	// maxTail is how much of what a failed process wrote is shown, in bytes.
	maxTail = 2 << 10
)

// A process is a child of the demo, in a process group of its own: an interrupt
// typed at the terminal reaches the demo alone, which ends the others in order.
// Its methods are safe for concurrent use once it was started.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string    // path of what it writes to standard error
	hangUp io.Closer // ends it politely; nil for one that is sent a signal
	asked  sync.Once // to end
	gone   chan struct{}
	err    error // how it ended; read after gone
}

// newProcess prepares a process. Its standard error goes to a file in dir.
func newProcess(name, dir, self string, args ...string) *process {
	p := &process{name: name, cmd: exec.Command(self, args...), log: filepath.Join(dir, name+".log"), gone: make(chan struct{})}
	p.cmd.Env = environment()
	isolate(p.cmd)
	return p
}

// environment is what every process of the demo gets: nothing of Ambit's own
// settings, which belong to whoever runs the demo and not to the story.
func environment(more ...string) []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AMBIT_") {
			out = append(out, v)
		}
	}
	return append(out, more...)
}

func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s cannot be started: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.gone)
	}()
	return nil
}

// stop asks the process to end, and ends it when it has not within a while. It
// returns when it is gone.
func (p *process) stop(within time.Duration) {
	p.asked.Do(func() {
		if p.hangUp != nil {
			_ = p.hangUp.Close()
			return
		}
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that is gone needs none
	})
	select {
	case <-p.gone:
	case <-time.After(within):
		p.kill()
		<-p.gone
	}
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }

// died says how a process ended that was still needed, with the end of its log.
func (p *process) died(why error) error {
	select {
	case <-p.gone:
		if p.err != nil {
			why = p.err
		}
	case <-time.After(grace):
	}
	text := fmt.Sprintf("%s ended before the story did: %v", p.name, why)
	if b, err := os.ReadFile(p.log); err == nil && len(b) > 0 {
		text += "; it wrote:\n" + strings.TrimSpace(string(b[max(0, len(b)-maxTail):]))
	}
	return errors.New(text)
}

// command runs a command of the product to its end, as a person would at a
// shell, and returns what it printed. The error of one that fails holds what it
// said, and wraps *exec.ExitError.
func command(ctx context.Context, self string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = environment(env...)
	cmd.WaitDelay = grace
	isolate(cmd)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	said := strings.TrimSpace(stderr.String() + "\n" + stdout.String())
	return stdout.String(), fmt.Errorf("ambit %s failed (%w) and said:\n%s", strings.Join(args, " "), err, said)
}
