package cli

import (
	"bufio"
	"fmt"
	"strings"
)

// confirm asks a person at a terminal, on stderr, and goes on only with yes. A
// script says --yes; what nobody can be asked about is not done.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !terminal(a.stdin) {
		return usage{"nobody is there to confirm this; --yes confirms it"}
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.stderr)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	a.say("nothing was done")
	return quit{exitError}
}
