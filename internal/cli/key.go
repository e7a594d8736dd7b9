package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Make and show signing keys"}
	c.AddCommand(&cobra.Command{
		Use:   "new FILE",
		Short: "Make a signing key and print its public half",
		Long: `Makes an ES256 key, writes its private half to FILE with mode 0600, and prints
the public half as a JWK. The public half is what an organisation's file enrols;
the private half leaves the file only to sign. A file that is there is never
overwritten.`,
		Example: "  ambit key new assistant.key\n  ambit key new assistant.key > assistant.jwk",
		Args:    takes("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := client.NewKey()
			if err != nil {
				return err
			}
			if err := k.Save(args[0]); err != nil {
				return fault.Wrap(fault.Conflict, err, "%v", err).WithHint("ambit key show %s prints the key that is there", args[0])
			}
			a.say("wrote %s (private, mode 0600), thumbprint %s", args[0], k.Thumbprint())
			return a.public(k)
		},
	}, &cobra.Command{
		Use:     "show FILE",
		Short:   "Print the public half of a key",
		Example: "  ambit key show assistant.key",
		Args:    takes("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := client.LoadKey(args[0])
			if err != nil {
				return err
			}
			a.say("thumbprint %s", k.Thumbprint())
			return a.public(k)
		},
	})
	return c
}

func (a *app) public(k *client.Key) error {
	return a.print(k.Public(), func(w io.Writer) { fmt.Fprintf(w, "%s\n", k.Public()) })
}
