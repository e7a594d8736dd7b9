//go:build !unix

package demo

import "os/exec"

// Without process groups an interrupt reaches every process at once.
func isolate(*exec.Cmd) {}
