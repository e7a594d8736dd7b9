package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// A missionRequest is a mission as a person words it, with handles.
type missionRequest struct {
	Agent     string           `json:"agent"`
	Intent    string           `json:"intent"`
	Authority authority.Set    `json:"authority"`
	Limits    authority.Limits `json:"limits,omitzero"`
	OnLimit   string           `json:"onLimit,omitempty"`
	Context   string           `json:"context,omitempty"`
	For       int64            `json:"for"` // seconds
}

// A starting is the flags of mission start.
type starting struct {
	agent, intent, file, tool, rate, context, onLimit, out string
	args                                                   []string
	calls, cost, rows                                      int64
	maxDepth, maxChildren                                  int
	lasts                                                  time.Duration
	yes                                                    bool
}

func (a *app) startCommand() *cobra.Command {
	var s starting
	c := &cobra.Command{
		Use:   "start --agent A --intent TEXT --for DURATION",
		Short: "Sign a mission and start it",
		Long: `Gives an agent a mission: what for, what it may do, within which limits, until
when. The server resolves the names; you read what comes of it and sign it with
your key, and only your signature makes it a mission.

--authority names a file with a list of items, spelled as a ceiling is in an
organisation's file; --tool with --arg is the short form for one tool. Without
either the mission covers all that the agent's blueprint allows, in --context.

The signed statement is what the agent needs: --out writes it to a file.`,
		Example: `  ambit mission start --agent assistant --intent "read my notes" --for 1h --out mission.jws
  ambit mission start --agent assistant --intent "draft the discharge note" --for 4h \
      --tool records.read --arg patient=P1 --context encounter/E1 --calls 40 --yes -o json`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := s.request(cmd)
			if err != nil {
				return err
			}
			return a.start(cmd.Context(), q, s)
		},
	}
	f := c.Flags()
	f.StringVar(&s.agent, "agent", "", "agent, by handle or uid")
	f.StringVar(&s.intent, "intent", "", "what the mission is for, in words")
	f.StringVar(&s.file, "authority", "", "file with what the mission permits (YAML or JSON)")
	f.StringVar(&s.tool, "tool", "", "the one tool that the mission permits, server.tool")
	f.StringArrayVar(&s.args, "arg", nil, "argument that --tool may have, name=text, or name:=JSON of a value or constraint; may be repeated")
	f.Int64Var(&s.calls, "calls", 0, "at most so many calls")
	f.Int64Var(&s.cost, "cost", 0, "at most so much cost")
	f.Int64Var(&s.rows, "rows", 0, "at most so many rows")
	f.StringVar(&s.rate, "rate", "", "at most so many calls in any window, as in 20/10m")
	f.IntVar(&s.maxDepth, "max-depth", 0, "at most so many hops from you")
	f.IntVar(&s.maxChildren, "max-children", 0, "at most so many live sub-agents of each agent")
	f.StringVar(&s.onLimit, "on-limit", "", "deny or ask, when a limit is reached (default deny)")
	f.StringVar(&s.context, "context", "", "open context that the mission happens in, type/id")
	f.DurationVar(&s.lasts, "for", 0, "how long, as in 4h or 30m")
	f.BoolVarP(&s.yes, "yes", "y", false, "sign without asking")
	f.StringVar(&s.out, "out", "", "file for the signed statement")
	return c
}

// request words the mission. A limit is set when its flag was given: 0 is a limit.
func (s starting) request(cmd *cobra.Command) (missionRequest, error) {
	q := missionRequest{Agent: strings.TrimPrefix(s.agent, "agent:"), Intent: s.intent, OnLimit: s.onLimit, Context: s.context,
		For: int64(s.lasts / time.Second), Authority: authority.Set{}}
	if err := needs(cmd, "agent", "intent"); err != nil {
		return q, err
	}
	if !cmd.Flags().Changed("for") {
		return q, usage{"--for is missing: a mission ends, as in --for 4h"}
	}
	if q.For < 1 {
		return q, usage{"--for has to be a second or more: a mission ends, as in --for 4h"}
	}
	if s.onLimit != "" && s.onLimit != "deny" && s.onLimit != "ask" {
		return q, usage{"--on-limit is deny or ask"}
	}
	given := cmd.Flags().Changed
	for name, l := range map[string]struct {
		at **int64
		n  *int64
	}{"calls": {&q.Limits.Calls, &s.calls}, "cost": {&q.Limits.Cost, &s.cost}, "rows": {&q.Limits.Rows, &s.rows}} {
		if given(name) {
			*l.at = l.n
		}
	}
	if given("max-depth") {
		q.Limits.MaxDepth = &s.maxDepth
	}
	if given("max-children") {
		q.Limits.MaxChildren = &s.maxChildren
	}
	var err error
	if given("rate") {
		if q.Limits.Rate, err = rate(s.rate); err != nil {
			return q, err
		}
	}
	if err := q.Limits.Validate(); err != nil {
		return q, usage{err.Error()}
	}
	q.Authority, err = s.authority()
	return q, err
}

func (s starting) authority() (authority.Set, error) {
	switch {
	case s.file != "" && s.tool+strings.Join(s.args, "") != "":
		return nil, usage{"--authority says all that --tool and --arg do; give one of them"}
	case s.file != "":
		return readAuthority(s.file)
	case s.tool == "" && len(s.args) > 0:
		return nil, usage{"--arg needs the --tool that it is an argument of"}
	case s.tool == "":
		return authority.Set{}, nil
	}
	args, err := arguments(s.args)
	if err != nil {
		return nil, err
	}
	return oneTool(s.tool, args)
}

func (a *app) start(ctx context.Context, q missionRequest, s starting) error {
	p, err := a.person()
	if err != nil {
		return err
	}
	var me self
	if err := p.Do(ctx, "GET", "/api/v1/whoami", nil, &me); err != nil {
		return err
	}
	raw, err := p.Raw(ctx, "POST", "/api/v1/missions:draft", q)
	if err != nil {
		return err
	}
	var st proof.Statement
	if err := json.Unmarshal(raw, &st); err != nil {
		return err
	}
	if err := asked(q, st, me); err != nil {
		return err
	}
	uids := []string{st.Blueprint}
	for _, item := range st.Authority {
		uids = append(uids, item.Server)
	}
	n, err := lookUp(ctx, p, uids, nil)
	if err != nil {
		return err
	}
	a.text(a.stderr, func(w io.Writer) { mandate(w, q, st, me.Handle, n.IDs) })
	if err := a.confirm(s.yes, "Sign and start it?"); err != nil {
		return err
	}
	// What is signed is what was checked and shown, encoded again: a member that
	// the statement does not know could not slip in.
	claims, err := encode(st)
	if err != nil {
		return err
	}
	return a.signed(ctx, p, claims, s.out)
}

// signed signs the claims, starts the mission and hands the statement out.
func (a *app) signed(ctx context.Context, p *client.Person, claims []byte, out string) error {
	statement, err := p.SignMission(claims)
	if err != nil {
		return err
	}
	var done changed
	if err := p.Do(ctx, "POST", "/api/v1/missions", map[string]string{"statement": statement}, &done); err != nil {
		return err
	}
	mission := done.Objects["mission"]
	if out != "" {
		if err := writeFile(out, []byte(statement+"\n")); err != nil {
			a.say("mission %s was started, but", mission)
			return err
		}
		a.say("started; %s is what the agent needs: ambit token --key KEY --statement %s --server SERVER", out, out)
	} else {
		a.say("started; the agent needs its statement: -o json prints it, --out writes it, ambit mission show %s -o json has it", mission)
	}
	v := struct {
		Mission   principal.UID `json:"mission"`
		Hop       principal.UID `json:"hop"`
		Statement string        `json:"statement"`
	}{mission, done.Objects["hop"], statement}
	return a.print(v, func(w io.Writer) { fmt.Fprintln(w, mission) })
}

// asked checks that a drafted statement is what was asked for, whoever drafted
// it: a server resolves names and adds ids, and widens nothing. A person reads
// the rest; with --yes nobody would.
func asked(q missionRequest, st proof.Statement, me self) error {
	differs := func(what string) error {
		return fault.New(fault.Upstream, "the server drafted another mission than was asked for: %s differs; nothing was signed", what)
	}
	switch {
	case st.Issuer != string(me.ID) || st.Audience != me.Issuer:
		return differs("who signs it, or for which server")
	case principal.UID(q.Agent).Is(principal.Agent) && st.Subject != q.Agent:
		return differs("the agent")
	case st.Intent != q.Intent:
		return differs("the intent")
	case st.Expiry-st.IssuedAt != q.For || time.Until(time.Unix(st.Expiry, 0)) > time.Duration(q.For+60)*time.Second:
		return differs("how long it lasts")
	case !st.Root() || st.Depth != 1:
		return differs("its place in the chain")
	case !reflect.DeepEqual(q.Limits, st.Limits) || st.OnLimit != q.OnLimit:
		return differs("a limit")
	case (st.Context == "") != (q.Context == ""):
		return differs("the context")
	}
	if len(q.Authority) == 0 {
		return nil // the blueprint's ceiling, which only the server knows
	}
	if len(q.Authority) != len(st.Authority) {
		return differs("what it permits")
	}
	for i, want := range q.Authority {
		have := st.Authority[i]
		want.Server = have.Server // a handle became a uid
		if want.String() != have.String() {
			return differs("what it permits")
		}
	}
	return nil
}

// mandate shows what is about to be signed, in words.
func mandate(w io.Writer, q missionRequest, st proof.Statement, me string, names map[string]string) {
	for i, item := range q.Authority {
		names[st.Authority[i].Server] = item.Server
	}
	account := "for you: it may do nothing that you may not"
	if st.Rooted == "owner" {
		account = "on its own account, for which you are its owner"
	}
	fmt.Fprintf(w, "You, user:%s, sign:\n", me)
	row(w, "intent", st.Intent)
	row(w, "agent", fmt.Sprintf("%s (%s), holder of key %s", q.Agent, st.Subject, st.Confirm.JKT))
	row(w, "acts", account)
	row(w, "may", strings.Join(permits(st.Authority, names), "\n"))
	if st.Context != "" {
		row(w, "while", fmt.Sprintf("%s is open (%s)", q.Context, st.Context))
	}
	row(w, "limits", limitsText(st.Limits, st.OnLimit))
	row(w, "until", moment(time.Unix(st.Expiry, 0)))
}

// permits describes each item of an authority, servers by name where known.
func permits(set authority.Set, names map[string]string) []string {
	if len(set) == 0 {
		return []string{"nothing"}
	}
	var out []string
	for _, item := range set {
		out = append(out, item.Describe(func(server string) string {
			if n := names[server]; n != "" {
				return n
			}
			return server
		}))
	}
	return out
}
