package golden

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/cli/orgfile"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/schema"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// the fixture's day.
var day = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func at(clock string) time.Time {
	if clock == "" {
		clock = "12:00:00"
	}
	t, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic(err)
	}
	return day.Add(t.Sub(t.Truncate(24 * time.Hour)))
}

// data is cases.json.
type data struct {
	Missions map[string]missionData `json:"missions"`
	Hops     []hopData              `json:"hops"`
	Cases    []golden               `json:"cases"`
	Where    map[string]string      `json:"elsewhere"`
	Pending  map[string]string      `json:"pending"`
}

type missionData struct {
	Origin, Agent, Rooted, Context, Until string
	Attributes                            map[string]string
	Limits                                authority.Limits
	Authority                             authority.Set
}

type hopData struct {
	N, Parent   int
	Agent       string
	Authority   authority.Set
	Until       string
	MaxDepth    *int
	MaxChildren *int
}

type golden struct {
	N          int
	Title      string
	Mission    string
	Hop        int
	Call       []json.RawMessage
	List       string
	Shown      []string
	Direct     string
	Make       *hopData
	Change     change
	Used       ledger.Head
	At         string
	Names      string
	Want       string
	Binding    string
	Says       string
	Diagnostic bool
	Shadow     bool
}

type change struct {
	Untuple, Disable, Close, OnLimit, Policy, Unpolicy, Shadow string
	RevokeHop                                                  int
	RevokeServer, RevokeTool                                   string
	DeepGroups                                                 int
	Authority                                                  *authority.Set
	Narrow                                                     *struct{ Blueprint, Drop string }
}

// a world is the fixture, built anew for every case.
type world struct {
	t    *testing.T
	snap *decision.Snapshot
	key  *ecdsa.PrivateKey
	mint principal.Minter
	hops map[int]principal.UID // of M by number; S is 100
	ids  map[string]principal.UID
}

func read(t *testing.T) data {
	t.Helper()
	b, err := os.ReadFile("cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var d data
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func build(t *testing.T, d data, c golden) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	w := &world{t: t, key: key, hops: map[int]principal.UID{}, ids: map[string]principal.UID{}}
	w.mint = principal.Minter{Now: func() time.Time { return at("09:00:00") }, Entropy: rand.Reader}
	w.snap, err = decision.Empty(w.mint.New(principal.Tenant))
	must(t, err)
	w.organisation()
	ctx := directory.Context{ID: w.mint.New(principal.Context), Type: "encounter", Handle: "E1",
		Attributes: map[string]string{"patient": "P1"}, Open: true}
	w.put("context", string(ctx.ID), ctx)
	for _, name := range []string{"M", "S"} {
		w.start(name, d.Missions[name], c)
	}
	for _, h := range d.Hops {
		hop, err := w.hop(h, c)
		must(t, err)
		w.put("hop", string(hop.ID), hop)
		w.hops[h.N] = hop.ID
	}
	w.change(c.Change)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) organisation() {
	w.t.Helper()
	f, err := orgfile.Load("org.yaml")
	must(w.t, err)
	m, err := schema.ParseOpenFGA(f.Document.Model.Source)
	must(w.t, err)
	f.Document.Model = &m
	shown := map[string][]json.RawMessage{}
	for _, s := range f.Document.Servers {
		for _, name := range slices.Sorted(maps.Keys(s.Tools)) {
			shown[s.ID] = append(shown[s.ID], json.RawMessage(fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name)))
		}
	}
	p, err := organisation.NewPlan(w.snap, f.Document, shown, w.mint.New(principal.User), at("09:00:00"), w.mint)
	if err != nil {
		w.t.Fatal(f.Explain(err))
	}
	w.apply(p.Rows)
}

func (w *world) apply(rows []ledger.Row) {
	w.t.Helper()
	next, err := w.snap.Apply(w.snap.Revision+1, rows)
	must(w.t, err)
	w.snap = next
}

func (w *world) put(kind, key string, v any) {
	w.t.Helper()
	b, err := json.Marshal(v)
	must(w.t, err)
	w.apply([]ledger.Row{{Kind: kind, Key: key, Body: b}})
}

func (w *world) id(kind, handle string) principal.UID {
	w.t.Helper()
	id, ok := w.snap.Directory.Resolve(kind, handle)
	if !ok {
		w.t.Fatalf("no %s %s", kind, handle)
	}
	return id
}

// servers puts uids in place of handles.
func (w *world) servers(in authority.Set) authority.Set {
	out := slices.Clone(in)
	for i := range out {
		s, ok := w.snap.Catalogue.ServerByHandle(out[i].Server)
		if !ok {
			w.t.Fatalf("no server %s", out[i].Server)
		}
		out[i].Server = string(s.ID)
	}
	return out
}

func (w *world) sign(st proof.Statement) string {
	w.t.Helper()
	s, err := proof.SignStatement(st, w.key)
	must(w.t, err)
	return s
}

func (w *world) statement(delegator, delegate principal.UID, mission principal.UID, a authority.Set, until string) proof.Statement {
	agent, _ := w.snap.Directory.Agent(delegate)
	jkt, err := proof.Thumbprint(proof.PublicJWK(&w.key.PublicKey))
	must(w.t, err)
	if until == "" {
		until = "18:00:00"
	}
	return proof.Statement{Issuer: string(delegator), Subject: string(delegate), Audience: "https://ambit.test",
		ID: string(w.mint.New(principal.Hop)), IssuedAt: at("09:00:00").Unix(), Expiry: at(until).Unix(),
		Mission: string(mission), Blueprint: string(agent.Blueprint), Authority: a,
		Confirm: proof.Confirm{JKT: jkt}, Nonce: base64.RawURLEncoding.EncodeToString(make([]byte, 16))}
}

func (w *world) start(name string, m missionData, c golden) {
	w.t.Helper()
	id := w.mint.New(principal.Mission)
	agent := w.id("agent", m.Agent)
	st := w.statement(w.id("user", m.Origin), agent, id, w.servers(m.Authority), m.Until)
	st.Limits, st.Rooted, st.Intent, st.Depth = m.Limits, m.Rooted, "the fixture's mission "+name, 1
	if c.Make != nil && name == "M" {
		st.Limits.MaxDepth, st.Limits.MaxChildren = c.Make.MaxDepth, c.Make.MaxChildren
	}
	st.OnLimit = c.Change.OnLimit
	if c.Change.Authority != nil && name == "M" {
		st.Authority = w.servers(*c.Change.Authority)
	}
	a, _ := w.snap.Directory.Agent(agent)
	b, _ := w.snap.Directory.Blueprint(a.Blueprint)
	p := delegation.RootProposal{Compact: "", Blueprint: b.ID, Own: b.Entitlement == directory.Own, Ceiling: b.Ceiling, Owner: a.Owner}
	if m.Context != "" {
		st.Context = string(w.id("context", m.Context))
		typ, handle, _ := strings.Cut(m.Context, "/")
		p.Frame, p.HasFrame = mapping.FrameOf(w.snap.Catalogue, typ, handle, m.Attributes)
	}
	p.Statement, p.Compact = st, w.sign(st)
	mission, hop, err := delegation.Root(p, at("09:00:00"))
	must(w.t, err)
	w.put("mission", string(mission.ID), mission)
	w.put("hop", string(hop.ID), hop)
	n := 1
	if name == "S" {
		n = 100
	}
	w.hops[n], w.ids[name] = hop.ID, mission.ID
}

func (w *world) hop(h hopData, c golden) (delegation.Hop, error) {
	w.t.Helper()
	if len(c.Change.authorityItems()) == 0 && c.Change.Authority != nil {
		h.Authority = authority.Set{} // a chain under an empty root holds nothing
	}
	chain, err := w.snap.Missions.Chain(w.hops[h.Parent])
	must(w.t, err)
	delegate := w.id("agent", h.Agent)
	st := w.statement(chain.Acting().Delegate, delegate, chain.Mission.ID, w.servers(h.Authority), h.Until)
	st.Depth, st.Parent = len(chain.Hops)+1, chain.Acting().Commitment
	b, _ := w.snap.Directory.Blueprint(principal.UID(st.Blueprint))
	return delegation.Child(chain, delegation.ChildProposal{Statement: st, Compact: w.sign(st), Blueprint: b.ID, Ceiling: b.Ceiling,
		Children: w.snap.Missions.LiveChildren(chain.Acting().ID, at("09:00:00"))}, at("09:00:00"))
}

func (c change) authorityItems() []authority.Item {
	if c.Authority == nil {
		return nil
	}
	var out []authority.Item
	for _, i := range *c.Authority {
		if len(i.Actions) > 0 {
			out = append(out, i)
		}
	}
	return out
}

// change makes the world differ from the fixture.
func (w *world) change(c change) {
	w.t.Helper()
	if c.Untuple != "" {
		object, rest, _ := strings.Cut(c.Untuple, "#")
		rel, subject, _ := strings.Cut(rest, "@user:")
		w.apply([]ledger.Row{{Kind: "tuple", Key: relation.Tuple{Object: object, Relation: rel, Subject: "user:" + string(w.id("user", subject))}.String()}})
	}
	if c.Disable != "" {
		u, _ := w.snap.Directory.User(w.id("user", c.Disable))
		u.State = directory.Disabled
		w.put("user", string(u.ID), u)
	}
	if c.Close != "" {
		x, _ := w.snap.Directory.Context(w.id("context", c.Close))
		x.Open = false
		w.put("context", string(x.ID), x)
	}
	if c.Unpolicy != "" {
		w.policies(func(p policy.Policy) bool { return p.Handle == c.Unpolicy })
	}
	for text, shadow := range map[string]bool{c.Policy: false, c.Shadow: true} {
		if text != "" {
			w.policy(text, shadow)
		}
	}
	if c.RevokeHop != 0 {
		h, _ := w.snap.Missions.Hop(w.hops[c.RevokeHop])
		h.State = delegation.Revoked
		w.put("hop", string(h.ID), h)
	}
	if c.RevokeServer != "" {
		s, _ := w.snap.Catalogue.ServerByHandle(c.RevokeServer)
		s.Revoked = true
		w.put("server", string(s.ID), s)
	}
	if c.RevokeTool != "" {
		server, name, _ := strings.Cut(c.RevokeTool, "/")
		s, _ := w.snap.Catalogue.ServerByHandle(server)
		tool, _ := w.snap.Catalogue.ToolByName(s.ID, name)
		tool.Revoked = true
		w.put("tool", string(tool.ID), tool)
	}
	if c.Narrow != nil {
		w.narrow(c.Narrow.Blueprint, c.Narrow.Drop)
	}
	if c.DeepGroups > 0 {
		w.deep(c.DeepGroups)
	}
}

// narrow takes a tool out of a blueprint's ceiling and re-meets what stands under it.
func (w *world) narrow(blueprint, drop string) {
	b, _ := w.snap.Directory.Blueprint(w.id("blueprint", blueprint))
	b.Ceiling = slices.DeleteFunc(slices.Clone(b.Ceiling), func(i authority.Item) bool { return slices.Contains(i.Actions, drop) })
	w.put("blueprint", string(b.ID), b)
	for _, h := range delegation.Narrow(w.snap.Missions, b.ID, b.Ceiling) {
		w.put("hop", string(h.ID), h)
	}
}

// deep puts the clinician on P1's care team through a nest of n groups.
func (w *world) deep(n int) {
	m, err := schema.ParseOpenFGA(strings.Replace(w.snap.Relations.Model().Source, "type user\ntype patient\n  relations\n    define care_team: [user]",
		"type user\ntype team\n  relations\n    define member: [user, team#member]\ntype patient\n  relations\n    define care_team: [user, team#member]", 1))
	must(w.t, err)
	w.put("model", "model", m)
	tuple := func(object, rel, subject string) {
		t := relation.Tuple{Object: object, Relation: rel, Subject: subject}
		w.put("tuple", t.String(), t)
	}
	tuple("patient:P1", "care_team", "team:0#member")
	for i := range n {
		tuple(fmt.Sprintf("team:%d", i), "member", fmt.Sprintf("team:%d#member", i+1))
	}
	tuple(fmt.Sprintf("team:%d", n), "member", "user:"+string(w.id("user", "clinician")))
}

func (w *world) policies(drop func(policy.Policy) bool) {
	for p := range w.snap.Policies.All() {
		if drop(p) {
			w.apply([]ledger.Row{{Kind: "policy", Key: string(p.ID)}})
		}
	}
}

func (w *world) policy(text string, shadow bool) {
	w.t.Helper()
	ps, err := policy.Parse("case", text)
	must(w.t, err)
	for _, p := range ps {
		p.Source, err = policy.Resolve(p.Source, func(typ, id string) (string, error) {
			if typ == "User" {
				return string(w.id("user", id)), nil
			}
			if typ == "Action" {
				server, tool, _ := strings.Cut(id, ".")
				s, _ := w.snap.Catalogue.ServerByHandle(server)
				return string(s.ID) + "." + tool, nil
			}
			return id, nil
		})
		must(w.t, err)
		p.ID, p.Shadow = w.mint.New(principal.Policy), shadow
		w.put("policy", string(p.ID), p)
	}
}
