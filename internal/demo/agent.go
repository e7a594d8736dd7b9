package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/proof"
)

// revision is the revision of MCP that the story is told in.
const revision = "2025-11-25"

// An agent is what the assistant and the sub-agent have in common: a place in a
// mission, and an ordinary MCP client on top of it.
type agent struct {
	name    string
	mission *client.Mission
	session *mcp.ClientSession
	tools   []string // as listed at the gateway
}

// connect opens an MCP session with a server through the gateway. All that is
// Ambit's about it is the HTTP client.
func (a *agent) connect(ctx context.Context, issuer, server string, m *client.Mission) error {
	c := mcp.NewClient(&mcp.Implementation{Name: a.name, Version: "1"}, nil)
	session, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: issuer + "/mcp/" + server,
		HTTPClient: m.HTTPClient(server), DisableStandaloneSSE: true}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		return fmt.Errorf("the gateway cannot be used: %w", err)
	}
	a.mission, a.session = m, session
	shown, err := session.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("the tools cannot be listed: %w", err)
	}
	for _, t := range shown.Tools {
		a.tools = append(a.tools, t.Name)
	}
	return nil
}

// call calls a tool and says what became of it. A refusal is an outcome; only
// what is neither an answer nor a decision is an error.
func (a *agent) call(ctx context.Context, tool string, args map[string]any) (*outcome, error) {
	if a.session == nil {
		return nil, errors.New("there is no mission yet")
	}
	start := time.Now()
	res, err := a.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: args})
	out := &outcome{verdict: verdict{Outcome: "allow"}, Took: time.Since(start)}
	if err == nil {
		for _, c := range res.Content {
			if t, ok := c.(*mcp.TextContent); ok {
				out.Text += t.Text
			}
		}
		if res.IsError {
			return nil, fmt.Errorf("%s answered with an error: %s", tool, out.Text)
		}
		return out, nil
	}
	refusal, ok := errors.AsType[*jsonrpc.Error](err)
	if !ok {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	out.verdict = verdict{}
	if json.Unmarshal(refusal.Data, &out.verdict) != nil || out.Outcome == "" {
		return nil, fmt.Errorf("%s: the gateway answered %d: %s", tool, refusal.Code, refusal.Message)
	}
	return out, nil
}

func (a *agent) close() {
	if a.session != nil {
		_ = a.session.Close() // the gateway may be gone already
	}
}

// An assistant is the agent that the clinician gives the mission to.
type assistant struct {
	agent
	key       *client.Key
	self, dir string
	sub       *peer
	issuer    string
	server    string // handle
	blueprint string // its own: the class that its sub-agent is of too
}

// playAssistant is the assistant's process. Its private key is made here and
// never leaves; its public half goes out with the hello, for the owner to enrol.
func playAssistant(ctx context.Context, self, dir string, stdin io.Reader, stdout io.Writer) error {
	key, err := client.NewKey()
	if err != nil {
		return err
	}
	a := &assistant{agent: agent{name: "assistant"}, key: key, self: self, dir: dir}
	defer a.close()
	defer func() {
		if a.sub != nil {
			a.sub.stop(grace)
		}
	}()
	if err := json.NewEncoder(stdout).Encode(answer{PID: os.Getpid(), Key: key.Public()}); err != nil {
		return err
	}
	return serveOrders(ctx, stdin, stdout, a.do)
}

func (a *assistant) do(ctx context.Context, o order) (answer, error) {
	if o.To != "" {
		if a.sub == nil {
			return answer{}, errors.New("there is no sub-agent yet")
		}
		o.To = ""
		return a.sub.ask(ctx, o)
	}
	switch o.Do {
	case "take":
		return a.take(ctx, o)
	case "delegate":
		return a.delegate(ctx, o)
	case "call":
		out, err := a.call(ctx, o.Tool, o.Arguments)
		return answer{Call: out}, err
	}
	return answer{}, fmt.Errorf("an assistant cannot %q", o.Do)
}

// take takes the mission, and opens the session in which it is worked on.
func (a *assistant) take(ctx context.Context, o order) (answer, error) {
	signed, _, err := proof.ParseStatement(o.Statement)
	if err != nil {
		return answer{}, err
	}
	who := &client.Agent{Issuer: o.Issuer, ID: o.Agent, Key: a.key}
	m, err := who.Take(ctx, o.Statement, o.Server)
	if err != nil {
		return answer{}, err
	}
	a.issuer, a.server, a.blueprint = o.Issuer, o.Server, signed.Blueprint
	if err := a.connect(ctx, o.Issuer, o.Server, m); err != nil {
		return answer{}, err
	}
	return answer{Agent: o.Agent, Mission: m.ID(), Tools: a.tools}, nil
}

// delegate starts a sub-agent, a process that makes a key of its own, and signs
// it a narrower hop: one tool, with these arguments, for a while.
func (a *assistant) delegate(ctx context.Context, o order) (answer, error) {
	if a.mission == nil || a.sub != nil {
		return answer{}, errors.New("an assistant delegates once, in its mission")
	}
	narrow, err := a.narrow(ctx, o)
	if err != nil {
		return answer{}, err
	}
	if a.sub, err = engage(ctx, newProcess("sub-agent", a.dir, a.self, "demo-part", "sub-agent")); err != nil {
		return answer{}, err
	}
	offered, err := a.sub.ask(ctx, order{Do: "offer", Issuer: a.issuer})
	if err != nil {
		return answer{}, err
	}
	if offered.Offer == nil {
		return answer{}, errors.New("the sub-agent made no offer")
	}
	h, err := a.mission.Delegate(ctx, *offered.Offer, narrow)
	if err != nil {
		return answer{}, err
	}
	got, err := a.sub.ask(ctx, order{Do: "accept", Server: a.server, Handover: &h})
	got.PID = a.sub.hello.PID
	return got, err
}

// narrow words what the sub-agent gets: the named tool of the assistant's own
// authority, every argument that is named held to its value.
func (a *assistant) narrow(ctx context.Context, o order) (client.Narrow, error) {
	t, err := a.mission.Token(ctx, a.server)
	if err != nil {
		return client.Narrow{}, err
	}
	type item struct {
		Type      string                    `json:"type"`
		Server    string                    `json:"server"`
		Actions   []string                  `json:"actions"`
		Arguments map[string]map[string]any `json:"arguments"`
	}
	var own []item
	if err := json.Unmarshal(t.Details, &own); err != nil {
		return client.Narrow{}, err
	}
	for _, it := range own {
		if strings.Join(it.Actions, ",") != o.Tool {
			continue
		}
		for name, value := range o.Arguments {
			it.Arguments[name] = map[string]any{"exact": value}
		}
		b, err := json.Marshal([]item{it})
		return client.Narrow{Blueprint: a.blueprint, Authority: b, For: time.Duration(o.Seconds) * time.Second, Server: a.server}, err
	}
	return client.Narrow{}, fmt.Errorf("the mission holds no %s to hand on", cmp.Or(o.Tool, "tool"))
}

// A delegate works for another agent.
type delegate struct {
	agent
	self *client.Agent
}

// playDelegate is the sub-agent's process.
func playDelegate(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	s := &delegate{agent: agent{name: "sub-agent"}}
	defer s.close()
	if err := json.NewEncoder(stdout).Encode(answer{PID: os.Getpid()}); err != nil {
		return err
	}
	return serveOrders(ctx, stdin, stdout, s.do)
}

func (s *delegate) do(ctx context.Context, o order) (answer, error) {
	switch o.Do {
	case "offer":
		self, err := client.NewDelegate(o.Issuer)
		if err != nil {
			return answer{}, err
		}
		offer, err := self.Offer()
		s.self = self
		return answer{Offer: &offer}, err
	case "accept":
		if s.self == nil || o.Handover == nil {
			return answer{}, errors.New("nothing was offered, or nothing handed over")
		}
		m := s.self.Accept(*o.Handover)
		err := s.connect(ctx, s.self.Issuer, o.Server, m)
		return answer{Agent: s.self.ID, Mission: m.ID(), Tools: s.tools}, err
	case "call":
		out, err := s.call(ctx, o.Tool, o.Arguments)
		return answer{Call: out}, err
	}
	return answer{}, fmt.Errorf("a sub-agent cannot %q", o.Do)
}
