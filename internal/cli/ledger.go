package cli

import (
	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/proof"
)

func (a *app) ledgerCommand() *cobra.Command {
	c := &cobra.Command{Use: "ledger", Short: "Take evidence out of the ledger"}
	var mission, out string
	export := &cobra.Command{
		Use:   "export --mission ID --out FILE",
		Short: "Write a mission's evidence to a file that anybody can verify",
		Long: `Writes one file with every entry of a mission, its signed statements, the keys
that signed them, and proofs that all of it is in the log. ambit verify checks it
on a machine that has never seen the server. "-" writes to stdout.`,
		Example: "  ambit ledger export --mission msn_… --out bundle.zip\n  ambit verify bundle.zip",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "mission", "out"); err != nil {
				return err
			}
			path, err := missionPath(mission, "/bundle")
			if err != nil {
				return err
			}
			p, err := a.person()
			if err != nil {
				return err
			}
			raw, err := p.Raw(cmd.Context(), "GET", path, nil)
			if err != nil {
				return err
			}
			if out == "-" {
				_, err := a.stdout.Write(raw)
				return err
			}
			b, err := proof.ReadBundle(raw)
			if err != nil {
				return err
			}
			if err := writeFile(out, raw); err != nil {
				return err
			}
			a.say("wrote %s: %s, %d kB", out, plural(len(b.Entries), "entry", "entries"), (len(raw)+1023)/1024)
			return nil
		},
	}
	export.Flags().StringVar(&mission, "mission", "", "uid of the mission")
	export.Flags().StringVar(&out, "out", "", "file to write")
	c.AddCommand(export)
	return c
}
