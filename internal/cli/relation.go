package cli

import (
	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/core/relation"
)

func (a *app) relationCommand() *cobra.Command {
	c := &cobra.Command{Use: "relation", Short: "Write and delete relationships",
		Long: "A relationship is a fact that the organisation's model knows: object, relation,\nsubject. Policies say what it permits."}
	verb := func(use, short string) *cobra.Command {
		return &cobra.Command{
			Use:     use + " OBJECT RELATION SUBJECT",
			Short:   short,
			Example: "  ambit relation " + use + " patient:P1 care_team user:clinician",
			Args:    takes("OBJECT", "RELATION", "SUBJECT"),
			RunE: func(cmd *cobra.Command, args []string) error {
				tuple := relation.Tuple{Object: args[0], Relation: args[1], Subject: args[2]}
				return a.post(cmd, "/api/v1/relations:write", map[string]any{use: []relation.Tuple{tuple}})
			},
		}
	}
	c.AddCommand(verb("write", "Write a relationship"), verb("delete", "Delete a relationship"))
	return c
}
