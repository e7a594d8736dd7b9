// Command ambit is identity and access management for AI agents: server, gateway
// and command line in one binary. Everything is in internal/cli.
package main

import (
	"os"

	"github.com/ambit-iam/ambit/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
