package cli

import (
	"context"
	"errors"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/core/organisation"
)

// The exit codes of every command.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitDenied      = 3
	exitApproval    = 4
	exitDifferent   = 5
	exitInterrupted = 130
)

// Main runs one command line, without the program's name, and returns its exit
// code. SIGINT and SIGTERM end it in order; a second one ends it at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	return a.report(ctx, cmd, err)
}

// An app is one command line on its way.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	url, user, key string // global flags
	output         string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ambit",
		Short: "Identity and access management for AI agents",
		Long: `Ambit answers, for every call an agent makes: who is acting, on whose behalf,
within what mandate, may they do this now, and can we prove it afterwards?`,
		Example: `  ambit dev                                   a server to play with; this shell is signed in
  ambit apply -f org.yaml                     make the organisation what a file says
  ambit can assistant notes.read_note note:welcome --why
  ambit verify bundle.zip                     check evidence offline`,
		SilenceErrors: true, SilenceUsage: true, Version: version(),
	}
	f := root.PersistentFlags()
	f.StringVar(&a.url, "url", "", "issuer URL of the server (AMBIT_URL, then the profile)")
	f.StringVar(&a.user, "user", "", "who you are: handle or uid (AMBIT_USER, then the profile)")
	f.StringVar(&a.key, "key", "", "file of your private key (AMBIT_KEY, then the profile)")
	f.StringVarP(&a.output, "output", "o", "table", "table, json, yaml or jsonl")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err.Error()} })
	root.SetVersionTemplate("ambit {{.Version}}\n")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkOutput() }
	root.AddCommand(
		a.demoCommand(), a.demoPartCommand(), a.devCommand(), a.serveCommand(), a.notesCommand(),
		a.userCommand(), a.keyCommand(), a.whoamiCommand(),
		a.applyCommand(), a.relationCommand(), a.contextCommand(),
		a.missionCommand(), a.tokenCommand(), a.canCommand(), a.revokeCommand(),
		a.replayCommand(), a.ledgerCommand(), a.verifyCommand(), a.versionCommand(),
	)
	branch(root)
	return root
}

// branch makes every command that only holds others say so when none of them was
// named, and suggest the one that was meant.
func branch(c *cobra.Command) {
	if !c.HasSubCommands() {
		return
	}
	for _, sub := range c.Commands() {
		branch(sub)
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, sub := range cmd.Commands() {
			if !sub.Hidden {
				names = append(names, sub.Name())
			}
		}
		if near := organisation.Nearest(args[0], names); near != "" {
			return usage{"there is no command " + args[0] + "; did you mean " + near + "?"}
		}
		return usage{"there is no command " + args[0] + "; there are " + strings.Join(names, ", ")}
	}
}

// takes checks positional arguments against their names; those in brackets may
// be left out.
func takes(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) && !strings.HasPrefix(name, "[") {
				return usage{name + " is missing"}
			}
		}
		if len(args) > len(names) {
			return usage{args[len(names)] + " is one argument too many"}
		}
		return nil
	}
}

// needs checks that flags without a default were given.
func needs(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.String() == "" {
			return usage{"--" + name + " is missing"}
		}
	}
	return nil
}

// a usage error is the caller's mistake in writing the command.
type usage struct{ says string }

func (u usage) Error() string { return u.says }

// a quit ends the command with a code after everything was said.
type quit struct{ code int }

func (quit) Error() string { return "everything was said" }

// interrupted reports whether err is the user's own doing.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
