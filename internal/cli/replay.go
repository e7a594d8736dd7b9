package cli

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/core/history"
)

func (a *app) replayCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "replay MISSION",
		Short:   "Tell what happened in a mission, and why",
		Long:    "Tells a mission's story from the ledger alone: who asked, what each agent did, was\nrefused and handed on, with entry numbers.",
		Example: "  ambit replay msn_…\n  ambit replay msn_… -o json",
		Args:    takes("MISSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := missionPath(args[0], "/story")
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
			var t history.Tree
			if err := json.Unmarshal(raw, &t); err != nil {
				return err
			}
			var told error
			err = a.print(json.RawMessage(raw), func(w io.Writer) { told = t.Text(w) })
			if told != nil {
				return told
			}
			return err
		},
	}
}
