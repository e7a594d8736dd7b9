package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/principal"
)

// A self is who presents.
type self struct {
	ID     principal.UID `json:"id"`
	Handle string        `json:"handle"`
	Issuer string        `json:"issuer"`
	Tenant principal.UID `json:"tenant"`
	LogKey string        `json:"logKey"`
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Ask the server who you are to it",
		Example: "  ambit whoami\n  ambit whoami --user lead --key lead.key",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.person()
			if err != nil {
				return err
			}
			raw, err := p.Raw(cmd.Context(), "GET", "/api/v1/whoami", nil)
			if err != nil {
				return err
			}
			var s self
			if err := json.Unmarshal(raw, &s); err != nil {
				return err
			}
			return a.print(json.RawMessage(raw), func(w io.Writer) {
				fmt.Fprintf(w, "user:%s\n", s.Handle)
				row(w, "id", string(s.ID))
				row(w, "server", s.Issuer)
				if p.Key != nil {
					row(w, "key", p.Key.Thumbprint())
				}
				row(w, "log key", s.LogKey)
			})
		},
	}
}
