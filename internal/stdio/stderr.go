package stdio

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
)

const (
	// errorLine is the most of one line of standard error that is logged.
	errorLine = 4 << 10
	// errorLines is the most lines of standard error that are logged; the rest is
	// read, so that the child never blocks on it, and dropped.
	errorLines = 10_000
)

// copyErrors reads standard error to its end, or to shortly after the child's.
func (p *Process) copyErrors(log *slog.Logger) {
	defer close(p.logged)
	defer p.errs.Close()
	ctx, r, head := context.Background(), bufio.NewReaderSize(p.errs, errorLine), true
	for n := 0; ; {
		line, err := r.ReadSlice('\n')
		if line = trim(line); head && len(line) > 0 && n < errorLines && log != nil {
			n++
			log.DebugContext(ctx, "stderr of a stdio server", "pid", p.cmd.Process.Pid, "line", string(line))
		}
		head = err == nil // what follows a full buffer is the rest of a long line
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
