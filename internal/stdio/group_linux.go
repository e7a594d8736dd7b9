package stdio

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate gives the child a process group of its own and makes the kernel kill
// it when this process dies, however it dies.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// await waits for the child to end, kills what is left of its group, calls gone
// and reaps it. The order matters: until the child is reaped its number, which is
// the group's, cannot belong to anybody else.
func await(cmd *exec.Cmd, gone func()) error {
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	terminate(cmd, true)
	gone()
	return cmd.Wait()
}
