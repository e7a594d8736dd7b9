//go:build unix

package stdio

import (
	"os/exec"
	"syscall"
)

// terminate signals the whole group. A group that is gone already is no error.
func terminate(cmd *exec.Cmd, force bool) {
	sig := syscall.SIGTERM
	if force {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, sig)
}
