package delegation

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

var (
	noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	six  = time.Date(2026, 11, 2, 18, 0, 0, 0, time.UTC)
)

// uid makes the n-th uid of a type.
func uid(p principal.Prefix, n byte) principal.UID {
	return principal.Make(p, noon, [10]byte{9: n})
}

func parse(t testing.TB, text string) authority.Set {
	t.Helper()
	s, err := authority.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func ptr[T any](v T) *T { return &v }

// The fixture of SEMANTICS section 12: clinician 1 → assistant 1 (blueprint 1) →
// summarizer 2 (blueprint 2), records is srv_r.
const (
	read    = `{"type":"mcp_tool","server":"srv_r","actions":["read"],"arguments":{"patient":{"exact":"P1"}}}`
	write   = `{"type":"mcp_tool","server":"srv_r","actions":["write_note"],"arguments":{"encounter":{"exact":"E1"},"text":{"any":true}}}`
	ceiling = `[{"type":"mcp_tool","server":"srv_r","actions":["read"],"arguments":{"patient":{"any":true},"kind":{"any":true,"optional":true}}},
		{"type":"mcp_tool","server":"srv_r","actions":["write_note"],"arguments":{"encounter":{"any":true},"text":{"any":true}}}]`
	frame = `[{"type":"mcp_tool","server":"srv_r","actions":["read","write_note","sign_note"],"arguments":{"patient":{"exact":"P1"}},"otherArguments":"any"},
		{"type":"mcp_tool","server":"srv_r","actions":["read","write_note","sign_note"],"arguments":{"encounter":{"exact":"E1"}},"otherArguments":"any"}]`
)

func root(t testing.TB) RootProposal {
	return RootProposal{Compact: "root", Blueprint: uid(principal.Blueprint, 1), Ceiling: parse(t, ceiling),
		Owner: uid(principal.User, 2), Frame: parse(t, frame), HasFrame: true,
		Statement: proof.Statement{Issuer: string(uid(principal.User, 1)), Subject: string(uid(principal.Agent, 1)),
			ID: string(uid(principal.Hop, 1)), Mission: string(uid(principal.Mission, 1)), Blueprint: string(uid(principal.Blueprint, 1)),
			IssuedAt: noon.Unix(), Expiry: six.Unix(), Depth: 1, Confirm: proof.Confirm{JKT: "k1"},
			Authority: parse(t, "["+read+","+write+"]"), Limits: Limits{Calls: ptr(int64(40))},
			Intent: "draft the discharge note for E1", Context: string(uid(principal.Context, 1)), Rooted: "user"}}
}

func rootChain(t testing.TB) Chain {
	t.Helper()
	m, h, err := Root(root(t), noon)
	if err != nil {
		t.Fatal(err)
	}
	return Chain{Mission: m, Hops: []Hop{h}}
}

func child(t testing.TB, c Chain) ChildProposal {
	p := c.Acting()
	return ChildProposal{Compact: "child of " + p.Commitment, Blueprint: uid(principal.Blueprint, 2), Ceiling: parse(t, "["+strings.ReplaceAll(read, `{"exact":"P1"}`, `{"any":true}`)+"]"),
		Statement: proof.Statement{Issuer: string(p.Delegate), Subject: string(uid(principal.Agent, byte(p.Depth+1))),
			ID: string(uid(principal.Hop, byte(p.Depth+1))), Mission: string(p.Mission), Blueprint: string(uid(principal.Blueprint, 2)),
			IssuedAt: noon.Unix(), Expiry: p.Expiry.Unix(), Depth: p.Depth + 1, Confirm: proof.Confirm{JKT: "k2"},
			Authority: parse(t, "["+read+"]"), Parent: p.Commitment}}
}

func TestRootMakes(t *testing.T) {
	m, h, err := Root(root(t), noon)
	if err != nil {
		t.Fatal(err)
	}
	if m.Origin != uid(principal.User, 1) || m.Root != h.ID || m.State != Active || !m.HasFrame || m.AuthorityHash == "" || m.IntentHash != proof.Hash([]byte(m.Intent)) {
		t.Errorf("mission %+v", m)
	}
	if h.Depth != 1 || h.Parent != "" || !h.Live(noon) || h.Live(six) || h.Commitment != proof.Commitment("root") || h.Delegator != m.Origin {
		t.Errorf("hop %+v", h)
	}
	var back Hop // as the floor stores it
	if b, err := json.Marshal(h); err != nil || json.Unmarshal(b, &back) != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if diff := cmp.Diff(h, back); diff != "" {
		t.Error(diff)
	}
}

func TestRootRefuses(t *testing.T) {
	for _, tc := range []struct {
		what string
		with func(*RootProposal)
		kind fault.Kind
		says string
	}{
		{"no expiry", func(p *RootProposal) { p.Statement.Expiry = 0 }, fault.Malformed, "exp is missing"},
		{"over", func(p *RootProposal) { p.Statement.Expiry, p.Statement.IssuedAt = noon.Unix(), noon.Unix()-9 }, fault.Denied, "was over at"},
		{"from the future", func(p *RootProposal) { p.Statement.IssuedAt++ }, fault.Malformed, "still to come"},
		{"outside the ceiling", func(p *RootProposal) { p.Statement.Authority[1].Actions = []string{"sign_note"} }, fault.Denied, "authority item 2 (sign_note on srv_r where encounter = E1"},
		{"outside the frame", func(p *RootProposal) {
			p.Statement.Authority = parse(t, "["+strings.ReplaceAll(read, "P1", "P2")+"]")
		}, fault.Denied, "is not inside the frame of context ctx_"},
		{"empty frame", func(p *RootProposal) { p.Frame = nil }, fault.Denied, "item 1 "},
		{"ceiling of nothing", func(p *RootProposal) { p.Ceiling = nil }, fault.Denied, "item 1 "},
		{"another blueprint", func(p *RootProposal) { p.Blueprint = uid(principal.Blueprint, 9) }, fault.Denied, "names blueprint"},
		{"no blueprint", func(p *RootProposal) { p.Blueprint = "" }, fault.Denied, "names blueprint"},
		{"owner-rooted, delegated", func(p *RootProposal) { p.Statement.Rooted = "owner" }, fault.Denied, "own account"},
		{"owner-rooted by another", func(p *RootProposal) { p.Statement.Rooted, p.Own = "owner", true }, fault.Denied, "signed by its owner"},
		{"owner-rooted by nobody", func(p *RootProposal) { p.Statement.Rooted, p.Own, p.Owner = "owner", true, "" }, fault.Denied, "signed by its owner"},
		{"rooted nowhere", func(p *RootProposal) { p.Statement.Rooted = "" }, fault.Malformed, "rooted"},
		{"signed by an agent", func(p *RootProposal) { p.Statement.Issuer = string(uid(principal.Agent, 3)) }, fault.Malformed, "signed by a person"},
		{"for a user", func(p *RootProposal) { p.Statement.Subject = string(uid(principal.User, 3)) }, fault.Malformed, "sub"},
		{"with a parent", func(p *RootProposal) { p.Statement.Parent = "x" }, fault.Malformed, "no parent"},
		{"deep", func(p *RootProposal) { p.Statement.Depth = 2 }, fault.Malformed, "depth 2"},
		{"no intent", func(p *RootProposal) { p.Statement.Intent = " " }, fault.Malformed, "intent"},
		{"no key", func(p *RootProposal) { p.Statement.Confirm.JKT = "" }, fault.Malformed, "cnf.jkt"},
		{"negative limit", func(p *RootProposal) { p.Statement.Limits.Calls = ptr(int64(-1)) }, fault.Malformed, "limits.calls: is negative"},
		{"on limit", func(p *RootProposal) { p.Statement.OnLimit = "allow" }, fault.Malformed, "onLimit"},
		{"malformed authority", func(p *RootProposal) { p.Statement.Authority[0].Type = "shell" }, fault.Malformed, "authority[0].type"},
		{"too much to read", func(p *RootProposal) { p.Statement.Authority = make(authority.Set, MaxItems+1) }, fault.Malformed, "items"},
		{"frame of no context", func(p *RootProposal) { p.Statement.Context = "" }, fault.Internal, ""},
		{"context of another type", func(p *RootProposal) { p.Statement.Context = "E1" }, fault.Malformed, "context"},
	} {
		p := root(t)
		tc.with(&p)
		if _, _, err := Root(p, noon); fault.KindOf(err) != tc.kind || err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v (%v), want %v %q", tc.what, err, fault.KindOf(err), tc.kind, tc.says)
		}
	}
	own := root(t)
	own.Own, own.Statement.Rooted, own.Statement.Issuer = true, "owner", string(own.Owner)
	own.HasFrame, own.Statement.Context = false, ""
	if m, _, err := Root(own, noon); err != nil || m.Rooted != OwnerRooted || m.HasFrame {
		t.Errorf("owner-rooted: %v", err)
	}
}

func TestChildMakes(t *testing.T) {
	c := rootChain(t)
	p := child(t, c)
	p.Statement.Limits.Calls = ptr(int64(10))
	h, err := Child(c, p, noon)
	if err != nil {
		t.Fatal(err)
	}
	if h.Parent != c.Acting().ID || h.Depth != 2 || h.Delegator != c.Acting().Delegate || h.Escrow.Calls == nil || *h.Escrow.Calls != 10 || h.Escrow.Cost != nil {
		t.Errorf("hop %+v", h)
	}
	empty := child(t, c)
	empty.Statement.Authority = nil
	if h, err = Child(c, empty, noon); err != nil || len(h.Effective) != 0 {
		t.Errorf("omitted authority: %v, %v", h.Effective, err)
	}
}

// TestChildRefuses includes golden cases 7 and 21.
func TestChildRefuses(t *testing.T) {
	for _, tc := range []struct {
		what string
		with func(*Chain, *ChildProposal)
		kind fault.Kind
		says string
	}{
		{"wider than its blueprint", func(_ *Chain, p *ChildProposal) { p.Statement.Authority = parse(t, "["+read+","+write+"]") },
			fault.Denied, "authority item 2 (write_note on srv_r where encounter = E1 and text is anything) is not inside the ceiling"},
		{"wider than its parent", func(_ *Chain, p *ChildProposal) {
			p.Statement.Authority = parse(t, "["+strings.ReplaceAll(read, `{"exact":"P1"}`, `{"prefix":"P1"}`)+"]")
		}, fault.Denied, "authority item 1 (read on srv_r where patient starts with P1) is not inside the parent's"},
		{"wider than what is left of its parent", func(c *Chain, _ *ChildProposal) { c.Hops[0].Effective = nil }, fault.Denied, "not inside the parent's"},
		{"outside the frame", func(c *Chain, _ *ChildProposal) { c.Mission.Frame = nil }, fault.Denied, "the frame of context"},
		{"longer", func(_ *Chain, p *ChildProposal) { p.Statement.Expiry++ }, fault.Denied, "longer than its parent"},
		{"no expiry", func(_ *Chain, p *ChildProposal) { p.Statement.Expiry = 0 }, fault.Malformed, "exp is missing"},
		{"too deep", func(c *Chain, _ *ChildProposal) { c.Hops[0].Limits.MaxDepth = ptr(1) }, fault.Denied, "deeper than maxDepth 1"},
		{"one too many", func(c *Chain, p *ChildProposal) { c.Hops[0].Limits.MaxChildren, p.Children = ptr(2), 2 }, fault.Denied, "one too many"},
		{"none allowed", func(c *Chain, _ *ChildProposal) { c.Hops[0].Limits.MaxChildren = ptr(0) }, fault.Denied, "one too many"},
		{"limit above", func(_ *Chain, p *ChildProposal) { p.Statement.Limits.Calls = ptr(int64(41)) }, fault.Denied, "limits.calls: is 41, above the parent's 40"},
		{"negative limit", func(_ *Chain, p *ChildProposal) { p.Statement.Limits.Cost = ptr(int64(-1)) }, fault.Malformed, "limits.cost: is negative"},
		{"deeper than the default", func(_ *Chain, p *ChildProposal) { p.Statement.Limits.MaxDepth = ptr(13) }, fault.Denied, "limits.maxDepth: is 13"},
		{"delegator is not the parent's delegate", func(_ *Chain, p *ChildProposal) { p.Statement.Issuer = string(uid(principal.Agent, 9)) }, fault.Denied, "was delegated to"},
		{"parent commitment", func(_ *Chain, p *ChildProposal) { p.Statement.Parent = proof.Commitment("other") }, fault.Denied, "parent commitment"},
		{"no parent", func(_ *Chain, p *ChildProposal) { p.Statement.Parent = "" }, fault.Denied, "parent commitment"},
		{"neither has a commitment", func(c *Chain, p *ChildProposal) { c.Hops[0].Commitment, p.Statement.Parent = "", "" }, fault.Denied, "parent commitment"},
		{"depth", func(_ *Chain, p *ChildProposal) { p.Statement.Depth = 3 }, fault.Denied, "does not follow"},
		{"another mission", func(_ *Chain, p *ChildProposal) { p.Statement.Mission = string(uid(principal.Mission, 2)) }, fault.Denied, "is of mission"},
		{"another blueprint", func(_ *Chain, p *ChildProposal) { p.Blueprint = uid(principal.Blueprint, 1) }, fault.Denied, "names blueprint"},
		{"its own intent", func(_ *Chain, p *ChildProposal) { p.Statement.Intent = "more" }, fault.Malformed, "are the mission's"},
		{"mission paused", func(c *Chain, _ *ChildProposal) { c.Mission.State = Paused }, fault.Denied, "is paused"},
		{"parent revoked", func(c *Chain, _ *ChildProposal) { c.Hops[0].State = Revoked }, fault.Denied, "is revoked"},
		{"parent over", func(c *Chain, p *ChildProposal) { c.Hops[0].Expiry = noon }, fault.Denied, "was over at"},
		{"empty chain", func(c *Chain, _ *ChildProposal) { c.Hops = nil }, fault.Internal, ""},
	} {
		c := rootChain(t)
		p := child(t, c)
		tc.with(&c, &p)
		if _, err := Child(c, p, noon); err == nil || fault.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v (%v), want %v %q", tc.what, err, fault.KindOf(err), tc.kind, tc.says)
		}
	}
}
