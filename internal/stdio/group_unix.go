//go:build unix && !linux

package stdio

import (
	"os/exec"
	"syscall"
)

// isolate gives the child a process group of its own. Only Linux can tie its life
// to this process; elsewhere a killed server leaves children that see their input
// end.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// await reaps the child, kills what is left of its group and calls gone.
func await(cmd *exec.Cmd, gone func()) error {
	err := cmd.Wait()
	terminate(cmd, true)
	gone()
	return err
}
