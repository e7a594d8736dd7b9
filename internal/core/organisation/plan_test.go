package organisation

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

func TestFirstApply(t *testing.T) {
	o := found(t)
	pl := o.apply(hospital(), showing())
	if len(pl.Bump) != 1 || pl.Bump[0] != tenant { // policies are new, and a new forbid would narrow
		t.Errorf("bumps %v", pl.Bump)
	}
	want := `+ server records: https://records.example/mcp
+ group staff
+ user clinician: gains group staff
+ blueprint assistant: gains records.read_chart, records.read_labs, records.write_note, on request records.sign_note
+ agent s1: blueprint screener, owner second
+ tool records.read_chart: read on patient:{args.patient}
+ tool records.delete_chart: destructive
+ tuple patient:P1#care_team@user:clinician
+ policy screening
`
	got := lines(pl)
	for _, l := range strings.SplitAfter(want, "\n") {
		if !strings.Contains(got, l) {
			t.Errorf("missing line %q in\n%s", l, got)
		}
	}
	seen := map[[2]string]bool{}
	for _, r := range pl.Rows {
		key := [2]string{r.Kind, r.Key}
		if seen[key] {
			t.Errorf("two rows for %s %s", r.Kind, r.Key)
		}
		seen[key] = true
	}
	b, _ := o.snap.Directory.Resolve("blueprint", "assistant")
	bp, _ := o.snap.Directory.Blueprint(b)
	if diff := cmp.Diff([]string{"read_chart", "read_labs"}, bp.Ceiling[0].Actions); diff != "" {
		t.Error(diff)
	}
	srv, _ := o.snap.Catalogue.ServerByHandle("records")
	if bp.Ceiling[0].Server != string(srv.ID) || bp.Ceiling[0].Type != authority.MCPTool {
		t.Errorf("ceiling is on %q, type %q", bp.Ceiling[0].Server, bp.Ceiling[0].Type)
	}
	tool, _ := o.snap.Catalogue.ToolByName(srv.ID, "read_chart")
	if string(tool.Definition) != string(definition("read_chart", `"readOnlyHint":true`)) {
		t.Errorf("the definition was rewritten: %s", tool.Definition)
	}
}

func TestEqualApplyWritesNothing(t *testing.T) {
	o := found(t)
	d := hospital()
	d.Users[0].Key = publicKey(t)
	d.Agents[0].Key = publicKey(t)
	o.apply(d, showing())
	shown := showing()
	// Another spelling and order of the same definitions.
	shown["records"][0] = json.RawMessage(`{ "annotations":{"readOnlyHint":true}, "description":"\u003cread_chart> & more", "name":"read_chart" }`)
	slices.Reverse(shown["accounts"])
	for _, shown := range []map[string][]json.RawMessage{shown, {}} {
		if pl := o.apply(clone(t, d), shown); len(pl.Rows)+len(pl.Bump)+len(pl.Changes) > 0 {
			t.Errorf("rows %v\n%s", pl.Rows, lines(pl))
		}
	}
}

// TestApplyConverges: whatever the order of documents, a document applied twice
// writes nothing the second time, and the first time brings the state to the
// same as if nothing had been before, as far as the document decides it.
func TestApplyConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := found(t)
		o.apply(hospital(), showing())
		for range rapid.IntRange(1, 4).Draw(rt, "documents") {
			d := clone(t, hospital())
			d.Tests = nil
			mutate(rt, &d)
			pl, err := o.plan(d, showing())
			if err != nil {
				rt.Fatal(err)
			}
			next, err := o.snap.Apply(o.snap.Revision+1, pl.Rows)
			if err != nil {
				rt.Fatal(err)
			}
			o.snap = next
			again, err := o.plan(d, showing())
			if err != nil {
				rt.Fatal(err)
			}
			if len(again.Rows)+len(again.Bump)+len(again.Changes) > 0 {
				rt.Fatalf("the second apply writes %v", again.Rows)
			}
			if (len(pl.Rows) == 0) != (len(pl.Changes) == 0) {
				rt.Fatalf("%d rows and %d lines", len(pl.Rows), len(pl.Changes))
			}
		}
	})
}

// mutate makes one of the documents that a hospital may come to.
func mutate(t *rapid.T, d *Document) {
	toss := func(what string) bool { return rapid.Bool().Draw(t, what) }
	if toss("no screener") {
		d.Agents, d.Blueprints = d.Agents[:1], d.Blueprints[:1]
		d.Policies[0].Text = strings.Replace(d.Policies[0].Text, `principal in Blueprint::"screener"`, "principal", 1)
	}
	if toss("disabled second") && len(d.Agents) == 1 {
		d.Users[2].Disabled = true
	}
	if toss("no clinician") {
		d.Users, d.Tuples = d.Users[1:], nil
	}
	if toss("narrower") {
		d.Blueprints[0].Ceiling = d.Blueprints[0].Ceiling[:1]
	}
	if toss("another policy") {
		d.Policies = append(d.Policies, Source{"more.cedar", `forbid (principal, action == Action::"records.delete_chart", resource);`})
	}
	if toss("more tuples") {
		d.Tuples = append(d.Tuples, relation.Tuple{Object: "patient:P2", Relation: "care_team", Subject: "group:staff#member"})
	}
	if toss("bearer") {
		d.Blueprints[0].Bearer = true
	}
}

func TestWhatVanishes(t *testing.T) {
	o := found(t)
	o.apply(hospital(), showing())
	// A tuple that no document declared stays, whatever documents say.
	clinician, _ := o.snap.Directory.Resolve("user", "clinician")
	fed := relation.Tuple{Object: "patient:P9", Relation: "care_team", Subject: "user:" + string(clinician)}
	o.snap, _ = o.snap.Apply(o.snap.Revision+1, []ledger.Row{rowOf("tuple", fed.String(), fed)})

	d := hospital()
	d.Tests = nil
	d.Agents, d.Blueprints, d.Servers = d.Agents[:1], d.Blueprints[:1], d.Servers[:1]
	d.Users, d.Tuples, d.Workloads = d.Users[:2], nil, nil
	d.Policies = []Source{{"access.cedar", strings.Split(permits, "@id(\"screening\")")[0]}}
	pl := o.apply(d, showing())
	want := `- server accounts: with all its tools
- tuple patient:P1#care_team@user:clinician
- tuple patient:P2#care_team@user:clinician
- policy office
- policy screening
- user second: not in the document any more: disabled
- workload feed: not in the document any more: disabled
- blueprint screener: not in the document any more: disabled
- agent s1: not in the document any more: disabled
`
	if diff := cmp.Diff(want, lines(pl)); diff != "" {
		t.Error(diff)
	}
	// The other one is the clinician's membership of staff, which the snapshot derives.
	if !o.snap.Relations.Has(fed) || o.snap.Relations.Len() != 2 {
		t.Errorf("left: %v, want the one that was fed", slices.Collect(o.snap.Relations.All()))
	}
	if !slices.Contains(pl.Bump, tenant) {
		t.Error("disabling somebody does not bump the tenant's epoch")
	}
	s1, _ := o.snap.Directory.Resolve("agent", "s1")
	if a, _ := o.snap.Directory.Agent(s1); a.State != directory.Disabled {
		t.Errorf("s1 is %s", a.State)
	}

	back := o.apply(hospital(), showing())
	if a, _ := o.snap.Directory.Agent(s1); a.State != directory.Active {
		t.Errorf("s1 is %s after it came back", a.State)
	}
	if got := lines(back); !strings.Contains(got, "~ agent s1: blueprint screener, owner second; gains to act at all: it was disabled\n") {
		t.Error(got)
	}
}

func TestQuarantineIsNotAnApplysToUndo(t *testing.T) {
	o := found(t)
	o.apply(hospital(), showing())
	id, _ := o.snap.Directory.Resolve("agent", "a1")
	for _, state := range []directory.State{directory.Quarantined, directory.Revoked} {
		a, _ := o.snap.Directory.Agent(id)
		a.State = state
		o.snap, _ = o.snap.Apply(o.snap.Revision+1, []ledger.Row{rowOf("agent", string(id), a)})
		d := hospital()
		d.Tests = nil
		if pl := o.apply(d, showing()); len(pl.Rows) > 0 {
			t.Errorf("an apply writes %v over an agent that is %s", pl.Rows, state)
		}
	}
}

// TestNarrowing is golden case 43: the assistant's blueprint loses write_note
// while a mission lives.
func TestNarrowing(t *testing.T) {
	o := found(t)
	o.apply(hospital(), showing())
	agent, _ := o.snap.Directory.Resolve("agent", "a1")
	clinician, _ := o.snap.Directory.Resolve("user", "clinician")
	q, err := Hypothetical(o.snap, clinician, agent, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	m, hop := q.Chain.Mission, q.Chain.Acting()
	if o.snap, err = o.snap.Apply(2, []ledger.Row{rowOf("mission", string(m.ID), m), rowOf("hop", string(hop.ID), hop)}); err != nil {
		t.Fatal(err)
	}
	d := hospital()
	d.Tests = nil
	d.Blueprints[0].Ceiling = d.Blueprints[0].Ceiling[:1]
	pl := o.apply(d, showing())
	if diff := cmp.Diff([]principal.UID{m.ID, tenant}, pl.Bump); diff != "" {
		t.Error(diff)
	}
	left, _ := o.snap.Missions.Hop(hop.ID)
	if len(left.Effective) != 1 || len(left.Authority) != 2 {
		t.Errorf("effective %s of authority %s", left.Effective, left.Authority)
	}
	want := "~ blueprint assistant: loses records.write_note\n~ missions: 1 live delegation narrowed to the new ceilings\n"
	if diff := cmp.Diff(want, lines(pl)); diff != "" {
		t.Error(diff)
	}
	// Widening gives nothing back to those who live.
	if pl := o.apply(hospital(), showing()); len(pl.Rows) != 1 {
		t.Errorf("widening writes %v", pl.Rows)
	}
	if same, _ := o.snap.Missions.Hop(hop.ID); len(same.Effective) != 1 {
		t.Error("a live delegation grew")
	}
}

func TestDriftOfTools(t *testing.T) {
	o := found(t)
	o.apply(hospital(), showing())
	shown := showing()
	shown["records"][2] = json.RawMessage(`{"name":"write_note","description":"now does something else"}`)
	shown["records"] = append(shown["records"][:4], definition("read_mail", ``))
	d := hospital()
	d.Tests = nil
	pl := o.apply(d, shown)
	want := `~ tool records.write_note: write on encounter:{args.encounter}; the server describes it differently than before
+ tool records.read_mail: read on patient:{args.patient}
- tool records.delete_chart: the server does not show it any more
~ server records: https://records.example/mcp
~ blueprint assistant: gains records.read_mail
`
	if diff := cmp.Diff(want, lines(pl)); diff != "" {
		t.Error(diff)
	}
}

func TestNeedsProbe(t *testing.T) {
	o := found(t)
	first := NeedsProbe(o.snap, hospital())
	if len(first) != 2 || first[0].ID == first[1].ID || !first[0].ID.Is(principal.Server) {
		t.Fatalf("%+v", first)
	}
	if _, err := o.plan(hospital(), nil); err == nil || !strings.Contains(err.Error(), "server records was not asked which tools it has") {
		t.Errorf("an unknown server is planned without its tools: %v", err)
	}
	o.apply(hospital(), showing())
	pinned, _ := o.snap.Catalogue.ServerByHandle("records")
	if second := NeedsProbe(o.snap, hospital()); second[0].ID != pinned.ID {
		t.Error("a pinned server is not asked under its own uid")
	}
	moved := hospital()
	moved.Servers[0].URL = "https://elsewhere.example/mcp"
	if third := NeedsProbe(o.snap, moved); third[0].ID == pinned.ID || third[0].ID == first[0].ID {
		t.Error("another address is asked under the uid of the old one")
	}
	if _, err := o.plan(moved, nil); err == nil {
		t.Error("a server at another address keeps its pins")
	}
}

func TestKeys(t *testing.T) {
	o := found(t)
	d := hospital()
	o.apply(d, showing())
	id, _ := o.snap.Directory.Resolve("user", "clinician")
	u, _ := o.snap.Directory.User(id)
	u.Keys = []directory.Key{{JKT: "enrolled-by-hand", JWK: publicKey(t), Enrolled: noon, Evidence: "admin.sock, uid 1000"}}
	o.snap, _ = o.snap.Apply(o.snap.Revision+1, []ledger.Row{rowOf("user", string(id), u)})

	one, two := publicKey(t), publicKey(t)
	evidence := func() (out []string) {
		u, _ := o.snap.Directory.User(id)
		for _, k := range u.Keys {
			out = append(out, k.Evidence)
		}
		return out
	}
	d.Users[0].Key = one
	o.apply(d, showing())
	declared := "declared by " + string(o.by)
	if diff := cmp.Diff([]string{"admin.sock, uid 1000", declared}, evidence()); diff != "" {
		t.Error(diff)
	}
	d.Users[0].Key = two
	pl := o.apply(d, showing())
	if diff := cmp.Diff([]string{"admin.sock, uid 1000", declared}, evidence()); diff != "" {
		t.Error(diff)
	}
	if got := lines(pl); !strings.Contains(got, "gains key ") || !strings.Contains(got, "loses key ") || !slices.Contains(pl.Bump, tenant) {
		t.Errorf("replacing a key: %s %v", got, pl.Bump)
	}
	d.Users[1].Key = two
	if _, err := o.plan(d, showing()); err == nil || !strings.Contains(err.Error(), "users[1].key: this is also the key of user:clinician") {
		t.Errorf("one key of two people: %v", err)
	}
	d.Users[0].Key = nil
	if _, err := o.plan(d, showing()); err == nil || !strings.Contains(err.Error(), "this is the key of clinician already") {
		t.Errorf("a key that changes hands: %v", err)
	}
}

func TestNobodyLocksThemselvesOut(t *testing.T) {
	o := found(t)
	group := directory.Group{ID: o.mint.New(principal.Group), Handle: Administrators}
	admin := directory.User{ID: o.mint.New(principal.User), Handle: "root", State: directory.Active, Groups: []principal.UID{group.ID}}
	var err error
	if o.snap, err = o.snap.Apply(1, []ledger.Row{rowOf("group", string(group.ID), group), rowOf("user", string(admin.ID), admin)}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.plan(hospital(), showing()); err == nil || !strings.Contains(err.Error(), "nobody would be left in group administrators") {
		t.Errorf("somebody else's apply: %v", err)
	}
	o.by = admin.ID
	o.apply(hospital(), showing())
	if u, _ := o.snap.Directory.User(admin.ID); u.State != directory.Active {
		t.Error("who applies was disabled for being absent")
	}
	d := hospital()
	d.Users = append(d.Users, User{ID: "root"})
	o.apply(d, showing())
	if u, _ := o.snap.Directory.User(admin.ID); !slices.Contains(u.Groups, group.ID) {
		t.Error("a group that the document does not declare lost a member")
	}
	d.Groups = append(d.Groups, Group{ID: Administrators})
	if _, err := o.plan(d, showing()); err == nil || !strings.Contains(err.Error(), "nobody would be left") {
		t.Errorf("an emptied group: %v", err)
	}
	d.Users[1].Groups = []string{Administrators}
	o.apply(d, showing())
}

func TestFailingTest(t *testing.T) {
	o := found(t)
	d := hospital()
	o.apply(d, showing())
	d.Tests = []Test{
		{Can: []string{"agent:a1", "records.read_chart", "patient:P1"}, For: "user:clinician", Expect: "deny"},
		{Can: []string{"agent:a1", "records.delete_chart"}, For: "user:clinician", Expect: "challenge", Link: "agent:a1"},
		{Can: []string{"agent:a1", "records.delete_chart"}, For: "user:clinician", Expect: "deny", Stage: "entitlement"},
		{Can: []string{"agent:a1", "records.read_chart"}, For: "user:clinician", Expect: "allow"},
		{Can: []string{"agent:a1", "records.read_chart", "encounter:E1"}, For: "user:clinician", Expect: "deny"},
		{Can: []string{"agent:a1", "records.read_chart", "patient:P1"}, Args: json.RawMessage(`{"patient":"P2"}`), For: "user:clinician", Expect: "deny"},
		{Can: []string{"agent:a1", "records.gone"}, For: "user:clinician", Expect: "deny"},
	}
	want := []string{
		"tests[0]: agent:a1 records.read_chart patient:P1 for user:clinician: expected deny, got allow",
		"expected challenge at agent:a1, got deny at agent:a1 by ceiling: ",
		"expected deny by entitlement, got deny at ",
		"expected allow, got no answer: it depends on the arguments; give the test args",
		"got an error: encounter:E1 is never a resource of read_chart, which is on patient:{args.patient}",
		"got an error: with these arguments the call is on patient:P2, not on patient:P1",
		`got an error: server records has no tool "gone"`,
	}
	for i, r := range RunTests(o.snap, d, noon) {
		if r.Passed || !strings.Contains(r.String(), want[i]) {
			t.Errorf("%s\nwant …%s", r, want[i])
		}
	}
}

func TestHypothetical(t *testing.T) {
	o := found(t)
	o.apply(hospital(), showing())
	a1, _ := o.snap.Directory.Resolve("agent", "a1")
	clinician, _ := o.snap.Directory.Resolve("user", "clinician")
	ctx := directory.Context{ID: "ctx_00000000000000000000000001", Type: "encounter", Handle: "E1", Attributes: map[string]string{"patient": "P1"}, Open: true}
	o.snap, _ = o.snap.Apply(2, []ledger.Row{rowOf("context", string(ctx.ID), ctx)})
	q, err := Hypothetical(o.snap, clinician, a1, map[string]string{"encounter": "E1"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if q.Chain.Mission.Context != ctx.ID || !q.Chain.Mission.HasFrame {
		t.Errorf("the open context is not used: %+v", q.Chain.Mission)
	}
	srv, _ := o.snap.Catalogue.ServerByHandle("records")
	for resource, want := range map[string]decision.Outcome{"patient:P1": decision.Allow, "patient:P2": decision.Deny} {
		action, err := Action(o.snap, srv.ID, "read_chart", resource, nil)
		if err != nil {
			t.Fatal(err)
		}
		if v := decision.Decide(o.snap, decision.Request{Subject: q, Action: action, At: noon}); v.Outcome() != want {
			t.Errorf("%s: %s, want %s (%+v)", resource, v.Outcome(), want, v.Findings())
		}
	}
	if _, err := Hypothetical(o.snap, clinician, a1, map[string]string{"ticket": "T1"}, noon); err == nil {
		t.Error("a context that no server maps is taken")
	}
}
