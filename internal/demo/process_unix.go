//go:build unix && !linux

package demo

import (
	"os/exec"
	"syscall"
)

// isolate gives a child a process group of its own.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
