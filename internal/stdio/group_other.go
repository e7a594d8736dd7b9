//go:build !unix

package stdio

import "os/exec"

// Without process groups only the child itself can be ended.
func isolate(*exec.Cmd) {}

func await(cmd *exec.Cmd, gone func()) error {
	defer gone()
	return cmd.Wait()
}

func terminate(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() }
