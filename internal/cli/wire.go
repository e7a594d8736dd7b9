package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A changed is what a write answered.
type changed struct {
	Issuer   string                   `json:"issuer,omitempty"` // an enrolment's only
	Entry    principal.UID            `json:"entry,omitempty"`
	Revision int64                    `json:"revision"`
	Objects  map[string]principal.UID `json:"objects,omitempty"`
	Lines    []string                 `json:"lines,omitempty"`
}

// write prints what changed, and says on stderr where it is recorded.
func (a *app) changed(c changed) error {
	err := a.print(c, func(w io.Writer) {
		for _, l := range c.Lines {
			fmt.Fprintln(w, l)
		}
		if len(c.Lines) == 0 {
			fmt.Fprintln(w, "nothing changed")
		}
	})
	if c.Entry != "" {
		a.say("revision %d, entry %s", c.Revision, c.Entry)
	}
	return err
}

// A decision is a verdict as the server shows it.
type decision struct {
	Outcome   string        `json:"outcome"`
	Entry     principal.UID `json:"entry"`
	Revision  int64         `json:"revision"`
	Link      int           `json:"link"`
	Stage     string        `json:"stage"`
	Principal principal.UID `json:"principal"`
	Name      string        `json:"name"`
	Reason    string        `json:"reason"`
	Next      string        `json:"next"`
	Depends   bool          `json:"depends"`
	Findings  []finding     `json:"findings"`
	Shadow    []policy.Hit  `json:"shadow"`
	Took      time.Duration `json:"took"`
}

// A finding is what one stage said of one link.
type finding struct {
	Link       int              `json:"link"`
	Principal  principal.UID    `json:"principal"`
	Stage      string           `json:"stage"`
	Passed     bool             `json:"passed"`
	Approvable bool             `json:"approvable"`
	Reason     string           `json:"reason"`
	Policies   []policy.Hit     `json:"policies"`
	Witness    []relation.Tuple `json:"witness"`
}

// exit is the code that a command ends with after d.
func (d decision) exit() int {
	switch d.Outcome {
	case "allow":
		return exitOK
	case "challenge":
		return exitApproval
	}
	return exitDenied
}

// refusal says, in a sentence each for a denial and for what an approval may
// supply, that it was refused; and why, and what next.
func (d decision) refusal(w io.Writer, denied, approval string) {
	if d.Outcome == "challenge" {
		row(w, "not yet", approval)
	} else {
		row(w, "denied", denied)
	}
	row(w, "because", fmt.Sprintf("link %d (%s) · %s · %s", d.Link, d.Name, d.Stage, d.Reason))
	row(w, "next", d.Next)
	d.record(w)
}

// record says where the decision is recorded and what it was made on.
func (d decision) record(w io.Writer) {
	row(w, "decision", fmt.Sprintf("%s   revision %d   %s", d.Entry, d.Revision, brief(d.Took)))
}

// brief renders a duration with two digits and a unit.
func brief(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// why lists every stage of every link, with the policies and relations behind it.
func (d decision) why(w io.Writer, names *strings.Replacer) {
	link := -1
	for _, f := range d.Findings {
		if f.Link != link {
			link = f.Link
			fmt.Fprintf(w, "link %-4d %s\n", f.Link, names.Replace(string(f.Principal)))
		}
		word := "ok"
		switch {
		case !f.Passed && f.Approvable:
			word = "ask"
		case !f.Passed:
			word = "no"
		}
		fmt.Fprintf(w, "  %-4s %-12s %s\n", word, f.Stage, f.Reason)
		for _, p := range f.Policies {
			fmt.Fprintf(w, "       %-12s %s\n", "", policyLine(p))
		}
		for _, t := range f.Witness {
			fmt.Fprintf(w, "       %-12s relation %s\n", "", names.Replace(t.String()))
		}
	}
	for _, p := range d.Shadow {
		fmt.Fprintf(w, "shadow    %s would have matched\n", policyLine(p))
	}
}

func policyLine(p policy.Hit) string {
	kind := "permit"
	if p.Forbid {
		kind = "forbid"
	}
	s := "policy " + p.Handle + " (" + kind + ")"
	if p.Error != "" {
		s += " failed: " + p.Error
	}
	return s
}

// names is a look-up between uids and handles.
type names struct {
	IDs     map[string]string        `json:"ids"`
	Handles map[string]principal.UID `json:"handles"`
}

// lookUp asks the server what uids are called and which uids handles stand for.
func lookUp(ctx context.Context, p *client.Person, ids []string, handles []string) (n names, err error) {
	err = p.Do(ctx, "POST", "/api/v1/names", map[string]any{"ids": ids, "handles": handles}, &n)
	return n, err
}
