package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/spf13/cobra"
)

func (a *app) revokeCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "revoke NODE",
		Short: "End an agent, a mission or a hop, and all below it, for good",
		Long: `Revokes a node: an agent, a mission, or one hop of a mission, and with it every
delegation below. It holds from the next decision on, and it is final. NODE is a
uid, or agent:handle.`,
		Example: "  ambit revoke agent:assistant\n  ambit revoke msn_… --yes",
		Args:    takes("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.person()
			if err != nil {
				return err
			}
			node, err := nodeOf(cmd.Context(), p, args[0])
			if err != nil {
				return err
			}
			what := args[0]
			if what != string(node) {
				what = fmt.Sprintf("%s (%s)", what, node)
			}
			a.say("revokes   %s and every delegation below it; this is final", what)
			if err := a.confirm(yes, "Revoke?"); err != nil {
				return err
			}
			return a.post(cmd, "/api/v1/revoke", map[string]any{"node": node})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// nodeOf resolves what a person calls a node.
func nodeOf(ctx context.Context, p *client.Person, name string) (principal.UID, error) {
	if id, err := principal.Parse(name); err == nil {
		return id, nil
	}
	if !strings.HasPrefix(name, "agent:") {
		return "", usage{name + " is not a node; a node is a uid or agent:handle"}
	}
	n, err := lookUp(ctx, p, nil, []string{name})
	if err != nil {
		return "", err
	}
	if id, ok := n.Handles[name]; ok {
		return id, nil
	}
	return "", fault.New(fault.NotFound, "there is no %s", name)
}
