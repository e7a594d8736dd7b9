package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

func (a *app) missionCommand() *cobra.Command {
	c := &cobra.Command{Use: "mission", Short: "Start, show and end missions",
		Long: "A mission is a person's signed mandate to an agent: intent, authority, limits,\nend. Agents may hand narrower parts of it on, and never wider ones."}
	c.AddCommand(a.startCommand(), &cobra.Command{
		Use:     "show MISSION",
		Short:   "Show a mission, its hops, and what is used of its limits",
		Example: "  ambit mission show msn_…\n  ambit mission show msn_… -o yaml",
		Args:    takes("MISSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := missionPath(args[0], "")
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
			var v missionView
			if err := json.Unmarshal(raw, &v); err != nil {
				return err
			}
			return a.print(json.RawMessage(raw), v.write)
		},
	}, &cobra.Command{
		Use:     "end MISSION",
		Short:   "End a mission as done",
		Long:    "Ends a mission: from the next decision on, nothing more is done in it.",
		Example: "  ambit mission end msn_…",
		Args:    takes("MISSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := missionPath(args[0], "/end")
			if err != nil {
				return err
			}
			return a.post(cmd, path, nil)
		},
	})
	return c
}

// missionPath is where the API has a mission.
func missionPath(id, rest string) (string, error) {
	if !principal.UID(id).Is(principal.Mission) {
		return "", usage{id + " is not the uid of a mission, msn_…"}
	}
	return "/api/v1/missions/" + id + rest, nil
}

// A missionView is a mission as it stands.
type missionView struct {
	Mission delegation.Mission            `json:"mission"`
	Hops    []delegation.Hop              `json:"hops"`
	Heads   map[principal.UID]ledger.Head `json:"heads"`
	Names   map[string]string             `json:"names"`
}

func (v missionView) name(id principal.UID) string {
	if n := v.Names[string(id)]; n != "" {
		return n
	}
	return string(id)
}

func (v missionView) write(w io.Writer) {
	m := v.Mission
	fmt.Fprintf(w, "%s  %s\n", m.ID, m.State)
	row(w, "intent", m.Intent)
	row(w, "asked by", "user:"+v.name(m.Origin))
	if m.Context != "" {
		row(w, "context", v.name(m.Context))
	}
	row(w, "started", moment(m.Started))
	if !m.Ended.IsZero() {
		row(w, "ended", moment(m.Ended))
	}
	v.hops(w, "", 0)
}

// hops writes the hops under one, deeper by indentation.
func (v missionView) hops(w io.Writer, parent principal.UID, depth int) {
	indent := strings.Repeat("   ", depth)
	for _, h := range v.Hops {
		if h.Parent != parent {
			continue
		}
		state := string(h.State) + "  until " + moment(h.Expiry)
		if v.Mission.State != delegation.Active {
			state = "over with its mission"
		}
		fmt.Fprintf(w, "%s└─ agent:%s  %s  %s\n", indent, v.name(h.Delegate), state, h.ID)
		for _, p := range permits(h.Effective, v.Names) {
			fmt.Fprintf(w, "%s   may    %s\n", indent, p)
		}
		head := h.ID
		if h.Parent == "" {
			head = h.Mission
		}
		if l := limitsUsed(h.Limits, v.Heads[head]); l != "" {
			fmt.Fprintf(w, "%s   used   %s\n", indent, l)
		}
		v.hops(w, h.ID, depth+1)
	}
}

// limitsText describes limits, and what happens at them.
func limitsText(l authority.Limits, onLimit string) string {
	var parts []string
	for _, c := range []struct {
		n    *int64
		what string
	}{{l.Calls, "calls"}, {l.Cost, "cost"}, {l.Rows, "rows"}} {
		if c.n != nil {
			parts = append(parts, fmt.Sprintf("%d %s", *c.n, c.what))
		}
	}
	if l.Rate != nil {
		parts = append(parts, l.Rate.String())
	}
	if l.MaxDepth != nil {
		parts = append(parts, fmt.Sprintf("%d hops deep", *l.MaxDepth))
	}
	if l.MaxChildren != nil {
		parts = append(parts, fmt.Sprintf("%d live sub-agents each", *l.MaxChildren))
	}
	if len(parts) == 0 {
		return "none but its end"
	}
	if onLimit == "ask" {
		parts = append(parts, "past them it asks")
	}
	return strings.Join(parts, " · ")
}

// limitsUsed describes what is used of the limits that count.
func limitsUsed(l authority.Limits, h ledger.Head) string {
	var parts []string
	for _, c := range []struct {
		limit *int64
		used  int64
		what  string
	}{{l.Calls, h.Calls, "calls"}, {l.Cost, h.Cost, "cost"}, {l.Rows, h.Rows, "rows"}} {
		if c.limit != nil {
			parts = append(parts, fmt.Sprintf("%d of %d %s", c.used, *c.limit, c.what))
		}
	}
	return strings.Join(parts, " · ")
}

// instant is how a time of day is written.
const instant = "2006-01-02 15:04:05 -07:00"

// moment renders a time, absolute and relative.
func moment(t time.Time) string {
	d, ago := time.Until(t), false
	if d < 0 {
		d, ago = -d, true
	}
	if d < time.Second {
		return t.Local().Format(instant) + " (now)"
	}
	far := d.Round(time.Second).String()
	if d >= time.Hour {
		far = strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	if ago {
		return fmt.Sprintf("%s (%s ago)", t.Local().Format(instant), far)
	}
	return fmt.Sprintf("%s (in %s)", t.Local().Format(instant), far)
}
