package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) canCommand() *cobra.Command {
	var user, mission string
	var args, context []string
	var why bool
	c := &cobra.Command{
		Use:   "can AGENT ACTION [RESOURCE]",
		Short: "Ask whether an agent may do something, and why",
		Long: `Asks what would be decided if an agent called a tool. Nothing is called and
nothing is charged.

Without --mission the question is about a mission that --for might give the
agent, with all that its blueprint allows, in --context. Arguments are read back
from RESOURCE where the tool's mapping allows it; else --arg gives them.

Exit codes: 0 allowed, 3 denied, 4 needs approval.`,
		Example: `  ambit can assistant notes.read_note note:welcome
  ambit can assistant records.read patient:P2 --for clinician --context encounter=E1 --why
  ambit can assistant records.read --arg patient=P1 --arg limit:=10 --mission msn_…`,
		Args: takes("AGENT", "ACTION", "[RESOURCE]"),
		RunE: func(cmd *cobra.Command, words []string) error {
			q := map[string]any{"agent": strings.TrimPrefix(words[0], "agent:"), "action": words[1]}
			if len(words) > 2 {
				q["resource"] = words[2]
			}
			given, err := arguments(args)
			if err != nil {
				return err
			}
			if len(given) > 0 {
				q["arguments"] = given
			}
			in, err := pairs("--context", context)
			if err != nil {
				return err
			}
			if len(in) > 0 {
				q["context"] = in
			}
			user = strings.TrimPrefix(user, "user:")
			if user != "" {
				q["for"] = user
			}
			if mission != "" {
				q["mission"] = mission
			}
			what := strings.Join(append(words[1:], args...), " ")
			if user != "" {
				what += ", for user:" + user
			}
			return a.can(cmd, q, what, user, why)
		},
	}
	f := c.Flags()
	f.StringVar(&user, "for", "", "user whose mission it is (default: the agent's owner)")
	f.StringArrayVar(&args, "arg", nil, "argument of the call, name=text or name:=JSON; may be repeated")
	f.StringArrayVar(&context, "context", nil, "context of the mission, type=id, and its attributes, name=value; may be repeated")
	f.StringVar(&mission, "mission", "", "uid of a mission that the agent is in")
	f.BoolVar(&why, "why", false, "print every stage of every link")
	return c
}

func (a *app) can(cmd *cobra.Command, question map[string]any, what, user string, why bool) error {
	p, err := a.person()
	if err != nil {
		return err
	}
	raw, err := p.Raw(cmd.Context(), "POST", "/api/v1/can", question)
	if err != nil {
		return err
	}
	var d decision
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	var me self
	if why {
		if err := p.Do(cmd.Context(), "GET", "/api/v1/whoami", nil, &me); err != nil {
			return err
		}
	}
	agent := fmt.Sprint("agent:", question["agent"])
	err = a.print(json.RawMessage(raw), func(w io.Writer) {
		switch {
		case d.Depends:
			row(w, "perhaps", agent+" may call "+what+", depending on the arguments")
			row(w, "next", "give the resource, or the arguments: --arg name=text")
			d.record(w)
		case d.Outcome == "allow":
			row(w, "allowed", agent+" may call "+what)
			d.record(w)
		default:
			d.refusal(w, agent+" may not call "+what, agent+" needs approval for "+what)
		}
		if why {
			d.why(w, d.names(me, agent, user))
		}
	})
	if err == nil && d.Depends {
		return quit{exitError} // no answer is not an allow
	}
	if err == nil && d.exit() != exitOK {
		return quit{d.exit()}
	}
	return err
}

// names replaces the uids of those that the question is about by what they are
// called: whoever asks, the user it is for, the binding principal, and the agent,
// which is the last link.
func (d decision) names(me self, agent, user string) *strings.Replacer {
	known := map[string]string{string(me.ID): "user:" + me.Handle, string(d.Principal): strings.Replace(d.Name, " ", ":", 1)}
	for _, f := range d.Findings {
		if f.Link == 0 && user != "" {
			known[string(f.Principal)] = "user:" + user
		}
	}
	if n := len(d.Findings); n > 0 && d.Findings[n-1].Link > 0 {
		known[string(d.Findings[n-1].Principal)] = agent
	}
	var pairs []string
	for id, name := range known {
		if kind, _, ok := strings.Cut(name, ":"); ok && id != "" {
			pairs = append(pairs, kind+":"+id, name, id, name)
		}
	}
	return strings.NewReplacer(pairs...)
}
