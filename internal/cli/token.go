package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

func (a *app) tokenCommand() *cobra.Command {
	var agent, key, statement, server string
	var bearer bool
	c := &cobra.Command{
		Use:   "token --key FILE --statement FILE --server HANDLE",
		Short: "Take a mission as an agent and print a token for one server",
		Long: `Does what an agent does: it proves its own key, hands in the statement that a
person signed, and gets a token for one server. The token is bound to the key: of
no use to whoever only sees it. It lives five minutes at most.

The statement says which agent and which server it is for; --agent checks it.`,
		Example: `  ambit token --key assistant.key --statement mission.jws --server notes
  ambit token --agent agt_… --key assistant.key --statement mission.jws --server notes --bearer`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "key", "statement", "server"); err != nil {
				return err
			}
			text, err := os.ReadFile(statement)
			if err != nil {
				return fault.Wrap(fault.NotFound, err, "the statement cannot be read: %v", err)
			}
			compact := strings.TrimSpace(string(text))
			me, err := actingAs(compact, agent, key)
			if err != nil {
				return err
			}
			me.Bearer = bearer
			m, err := me.Take(cmd.Context(), compact, server)
			if err != nil {
				return err
			}
			t, err := m.Token(cmd.Context(), server)
			if err != nil {
				return err
			}
			a.say("%s token for %s/mcp/%s, %s left, mission %s", t.Type, me.Issuer, server, time.Until(t.Expiry).Round(time.Second), t.Mission)
			return a.print(t, func(w io.Writer) { fmt.Fprintln(w, t.Access) })
		},
	}
	f := c.Flags()
	f.StringVar(&agent, "agent", "", "uid or handle of the agent (default: the statement's)")
	f.StringVar(&key, "key", "", "file of the agent's private key")
	f.StringVar(&statement, "statement", "", "file of the signed statement")
	f.StringVar(&server, "server", "", "handle of the server that the token is for")
	f.BoolVar(&bearer, "bearer", false, "ask for a token without a key; the blueprint has to allow it, and it is recorded")
	return c
}

// actingAs is the agent that a statement is for. The key tells whether we are
// it: the statement confirms one. A handle says nothing that the key does not.
func actingAs(statement, agent, keyFile string) (*client.Agent, error) {
	st, _, err := proof.ParseStatement(statement)
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "%v", err).WithHint("ambit mission start --out FILE writes one")
	}
	agent = strings.TrimPrefix(agent, "agent:")
	if principal.UID(agent).Is(principal.Agent) && agent != st.Subject {
		return nil, fault.New(fault.Malformed, "the statement is for agent %s, not for %s", st.Subject, agent)
	}
	key, err := client.LoadKey(keyFile)
	if err != nil {
		return nil, err
	}
	if key.Thumbprint() != st.Confirm.JKT {
		return nil, fault.New(fault.Malformed, "the statement is for the holder of key %s; %s is key %s", st.Confirm.JKT, keyFile, key.Thumbprint())
	}
	return &client.Agent{Issuer: st.Audience, ID: st.Subject, Key: key}, nil
}
