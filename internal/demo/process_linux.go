package demo

import (
	"os/exec"
	"syscall"
)

// isolate gives a child a process group of its own, and makes the kernel end it
// when this process dies, however it dies.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
