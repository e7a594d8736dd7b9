package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) contextCommand() *cobra.Command {
	c := &cobra.Command{Use: "context", Short: "Open and close what missions happen in",
		Long: "A context is an encounter, a ticket, a case. A mission in one covers what the\ncontext implies and is over when it is closed."}
	var set []string
	open := &cobra.Command{
		Use:     "open TYPE ID",
		Short:   "Open a context",
		Example: "  ambit context open encounter E1 --set patient=P1",
		Args:    takes("TYPE", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			attributes, err := pairs("--set", set)
			if err != nil {
				return err
			}
			body := map[string]any{"type": args[0], "handle": args[1]}
			if len(attributes) > 0 {
				body["attributes"] = attributes
			}
			return a.post(cmd, "/api/v1/contexts:open", body)
		},
	}
	open.Flags().StringArrayVar(&set, "set", nil, "attribute, name=value; may be repeated")
	c.AddCommand(open, &cobra.Command{
		Use:     "close TYPE ID",
		Short:   "Close a context; every mission in it is over",
		Example: "  ambit context close encounter E1",
		Args:    takes("TYPE", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.post(cmd, "/api/v1/contexts:close", map[string]any{"type": args[0], "handle": args[1]})
		},
	})
	return c
}

// post sends one write and prints what changed.
func (a *app) post(cmd *cobra.Command, path string, body any) error {
	p, err := a.person()
	if err != nil {
		return err
	}
	var done changed
	if err := p.Do(cmd.Context(), "POST", path, body, &done); err != nil {
		return err
	}
	return a.changed(done)
}

// pairs reads name=value flags.
func pairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if _, twice := out[name]; !ok || name == "" || twice {
			return nil, usage{flag + " takes name=value, each name once; not " + s}
		}
		out[name] = value
	}
	return out, nil
}
