package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
)

func (a *app) verifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check evidence offline",
		Long: `Checks an evidence bundle without any server: that every entry is in the signed
log, that none is missing, and that every action's chain of delegation reaches a
person's signature, narrower at every hop.

Without --key the log's key is the bundle's own: the evidence then proves what
the holder of that key says, and not who that is. Give the key as you learned it
from the operator. Exit code 1 when anything does not hold.`,
		Example: "  ambit verify bundle.zip\n  ambit verify bundle.zip --key 'ambit.example.org/…+…'",
		Args:    takes("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return fault.Wrap(fault.NotFound, err, "the bundle cannot be read: %v", err)
			}
			r, names := verify(raw, key)
			if err := a.print(verified{len(r.Problems) == 0, r}, func(w io.Writer) { verdict(w, r, names) }); err != nil {
				return err
			}
			if len(r.Problems) > 0 {
				return quit{exitError}
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "the log's verifier key, from the operator")
	return c
}

// verify checks a bundle's bytes. A file that is not a bundle is a report with
// that problem. names are what the entries call people, committed to like all
// of them.
func verify(raw []byte, key string) (proof.Report, map[string]string) {
	b, err := proof.ReadBundle(raw)
	if err != nil {
		return proof.Report{Problems: []string{err.Error()}}, nil
	}
	// Problems says all that the error does.
	r, _ := proof.Verify(b, proof.Options{LogKey: key})
	names := map[string]string{}
	for _, e := range b.Entries {
		var p struct {
			Names map[string]string `json:"names"`
		}
		if json.Unmarshal(e.Payload, &p) == nil {
			for id, name := range p.Names {
				names[id] = name
			}
		}
	}
	return r, names
}

// verified is a report with its verdict in a member of its own.
type verified struct {
	Valid bool `json:"valid"`
	proof.Report
}

// verdict renders a report, with what is not known said as clearly as what is.
func verdict(w io.Writer, r proof.Report, names map[string]string) {
	if len(r.Problems) > 0 {
		fmt.Fprintf(w, "NOT VALID · %s\n", plural(len(r.Problems), "check failed", "checks failed"))
		for _, p := range r.Problems {
			fmt.Fprintf(w, "  %s\n", p)
		}
		return
	}
	var reaches []string
	for _, id := range r.Origins {
		reaches = append(reaches, person(id, names))
	}
	parts := []string{"VALID", plural(len(r.Missions), "mission", "missions"), plural(r.Entries, "entry", "entries") + ", none missing",
		plural(r.Actions, "action", "actions")}
	switch {
	case len(reaches) > 0 && r.Actions > 0:
		parts = append(parts, "every action reaches "+strings.Join(reaches, ", "))
	case len(reaches) > 0:
		parts = append(parts, "asked by "+strings.Join(reaches, ", "))
	}
	fmt.Fprintln(w, strings.Join(parts, " · "))
	row(w, "log", fmt.Sprintf("%s, %s at the checkpoint", r.Log, plural(int(r.Size), "entry", "entries")))
	trust := "as you gave it"
	if !r.LogKeyPinned {
		trust = "the bundle's own: who holds it is not known; --key checks against the operator's"
	}
	row(w, "log key", r.LogKey+"\n"+trust)
	for _, s := range r.Signatures {
		row(w, "signed", fmt.Sprintf("%s by %s\nkey %s, enrolled by entry %d: %s", s.Mission, person(s.Person, names), s.JKT, s.Enrolled, s.Evidence))
	}
	row(w, "witness", "none: no independent party has seen this checkpoint")
	if r.Unknown > 0 {
		row(w, "unknown", "what came of "+plural(r.Unknown, "action", "actions"))
	}
	if r.Open > 0 {
		row(w, "open", plural(r.Open, "run", "runs")+" without a closing entry: more may have followed")
	}
}

func person(id string, names map[string]string) string {
	if name := names[id]; name != "" && name != id {
		return "user:" + name + " (" + id + ")"
	}
	return id
}
