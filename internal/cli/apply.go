package cli

import (
	"errors"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/cli/orgfile"
)

func (a *app) applyCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make the organisation what a file says",
		Long: `Reads an organisation's file, with the keys, model and policies beside it, and
makes the server's organisation what it says, in one revision, or changes nothing.
It prints who gains and who loses what. What the file no longer says is removed;
people and agents are disabled, for the ledger speaks of them. The file's tests
run on the result first: a failing test stops the apply (exit code 5).`,
		Example: "  ambit apply -f org.yaml\n  ambit apply -f org.yaml -o json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "file"); err != nil {
				return err
			}
			f, err := orgfile.Load(file)
			if err != nil {
				return err
			}
			p, err := a.person()
			if err != nil {
				return err
			}
			var done changed
			err = p.Do(cmd.Context(), "POST", "/api/v1/apply", map[string]any{"document": f.Document}, &done)
			if e, ok := errors.AsType[*client.Error](err); ok {
				e.Message = located(f, e.Message)
			}
			if err != nil {
				return err
			}
			return a.changed(done)
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "the organisation's file")
	return c
}

// docPlace is how the server names a place in a document: blueprints[0].owner.
var docPlace = regexp.MustCompile(`^((?:users|groups|workloads|blueprints|agents|servers|model|tuples|policies|tests)(?:\[\d+\]|\.[^\s:.\[]+)*): `)

// located puts file, line and column in place of the places in a document that
// lines of a message begin with.
func located(f orgfile.File, message string) string {
	lines := strings.Split(message, "\n")
	for i, l := range lines {
		if m := docPlace.FindStringSubmatch(l); m != nil {
			lines[i] = f.Where(m[1]) + l[len(m[1]):]
		}
	}
	return strings.Join(lines, "\n")
}

// failedTests reports whether a refusal is about an organisation's own tests.
func failedTests(message string) bool { return testsFail.MatchString(message) }

var testsFail = regexp.MustCompile(`^\d+ of \d+ tests fail; `)
