package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "See the whole story in seconds, with real processes",
		Long: `Starts a server, a records server, an assistant and its sub-agent, each a process
of its own, on throw-away data, and tells what happens: a mission is signed, calls
are allowed and refused, authority is handed on and taken away, and the evidence is
verified offline. It ends with exit code 1 when anything comes out otherwise.`,
		Example: "  ambit demo\n  ambit demo --keep",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return demo.Run(cmd.Context(), demo.Options{Keep: keep, Self: self, Version: release, Out: a.stdout, Err: a.stderr,
				TTY: terminal(a.stdout) && terminal(a.stderr) && a.getenv("NO_COLOR") == ""})
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the servers running afterwards, to look around")
	return c
}

// demoPartCommand plays one part of the demo; the demo starts it.
func (a *app) demoPartCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo-part", Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return demo.Part(cmd.Context(), args, a.stdin, a.stdout, a.stderr)
		},
	}
}
