package enforce_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

var ctx = context.Background()

func want(t *testing.T, d enforce.Decision, err error, outcome, stage string, link int) {
	t.Helper()
	must(t, err)
	if d.Outcome != outcome || d.Stage != stage || d.Link != link {
		t.Fatalf("%s, want %s at link %d %s", d.Sentence(), outcome, link, stage)
	}
	if d.Entry == "" {
		t.Fatal("a decision without an entry")
	}
}

func TestAct(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	var e effects
	d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	want(t, d, err, "allow", "", 0)
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P2"}`), e.effect)
	want(t, d, err, "deny", "entitlement", 0)
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "delete", `{"patient":"P1"}`), e.effect)
	want(t, d, err, "deny", "entitlement", 0)
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "nothing", `{}`), e.effect)
	want(t, d, err, "deny", "ceiling", 1)
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":["P1"]}`), e.effect)
	want(t, d, err, "deny", "ceiling", 1)
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1","patient":"P2"}`), e.effect)
	want(t, d, err, "deny", "ceiling", 1)
	if e.n.Load() != 1 {
		t.Fatalf("%d effects, want the one that was allowed", e.n.Load())
	}
	if _, err := h.spine.Act(ctx, h.call("nonsense", "read", `{"patient":"P1"}`), e.effect); fault.KindOf(err) != fault.Unauthenticated {
		t.Fatalf("nonsense token: %v", err)
	}
	// The tuple goes, the next call is denied: relations are read at call time.
	_, err = h.spine.Change(ctx, h.root(), enforce.WriteRelations{Delete: []relation.Tuple{{Object: "patient:P1", Relation: "care_team", Subject: "user:clinician"}}})
	must(t, err)
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	want(t, d, err, "deny", "entitlement", 0)
}

// TestRevokeBetweenVerdictAndCommit is golden case 35: the replica decides on a
// snapshot from before the revoke; the commit's condition fails, the call is
// decided again on a fresher one, and denied. Nothing reaches the upstream.
func TestRevokeBetweenVerdictAndCommit(t *testing.T) {
	for _, node := range []string{"mission", "agent", "hop"} {
		t.Run(node, func(t *testing.T) {
			h := build(t)
			h.organise(true)
			st, claims, err := h.start("clinician", "assistant", nil)
			must(t, err)
			tok, err := h.take("assistant", st, false)
			must(t, err)
			root := h.root()
			uid := map[string]principal.UID{"mission": principal.UID(claims.Mission), "hop": principal.UID(claims.ID), "agent": principal.UID(claims.Subject)}[node]
			h.state.frozen.Store(true)
			_, err = h.spine.Change(ctx, root, enforce.Revoke{Node: uid})
			must(t, err)
			// The frozen state was moved by Change's own AtLeast; put it back to
			// where a lagging replica would be.
			h.lag(t)
			var e effects
			d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
			stage := "mandate"
			if node == "agent" {
				stage = "standing"
			}
			want(t, d, err, "deny", stage, 1)
			if e.n.Load() != 0 {
				t.Fatal("an effect after the revoke")
			}
		})
	}
}

// lag rewinds the state to the revision before the last.
func (h *house) lag(t *testing.T) {
	t.Helper()
	rev, rows, err := h.store.Load(ctx, h.spine.Tenant)
	must(t, err)
	_ = rows
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	revs, err := h.store.Changes(ctx, h.spine.Tenant, 0, 10000)
	must(t, err)
	snap := emptyOf(t, h.spine.Tenant)
	for _, r := range revs {
		if r.N < rev {
			snap, err = snap.Apply(r.N, r.Rows)
			must(t, err)
		}
	}
	h.state.snap = snap
}

// TestFiftyCallsFortyLeft is golden case 34.
func TestFiftyCallsFortyLeft(t *testing.T) {
	h := build(t)
	h.organise(true)
	forty := int64(40)
	st, claims, err := h.start("clinician", "assistant", func(s *proof.Statement) { s.Limits.Calls = &forty })
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	var e effects
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				outcomes[err.Error()]++
				return
			}
			outcomes[d.Outcome+" "+d.Stage]++
		})
	}
	wg.Wait()
	if outcomes["allow "] != 40 || outcomes["deny mandate"] != 10 || e.n.Load() != 40 {
		t.Fatalf("outcomes %v, %d effects", outcomes, e.n.Load())
	}
	heads, err := h.store.Heads(ctx, h.spine.Tenant, principal.UID(claims.Mission))
	must(t, err)
	if heads[principal.UID(claims.Mission)].Calls != 40 {
		t.Fatalf("counter %+v", heads)
	}
}

// TestExchange is golden case 22 and vectors V1 to V5: a delegated token
// exchanged by another actor, without one, after the actor is disabled.
func TestExchange(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	a, id := h.agents["assistant"], h.id("agent", "assistant")
	tok, err := h.take("assistant", st, true)
	must(t, err)
	if tok.TokenType != "DPoP" {
		t.Fatalf("token type %s", tok.TokenType)
	}
	renew := func(edit func(*enforce.Exchange)) error {
		x := h.exchange(a, id, true)
		x.SubjectToken, x.SubjectTokenType = tok.AccessToken, enforce.TypeAccessToken
		if edit != nil {
			edit(&x)
		}
		_, err := h.spine.Issue(ctx, x)
		return err
	}
	must(t, renew(nil))
	other, otherID := h.agents["screener"], h.id("agent", "screener")
	for name, edit := range map[string]func(*enforce.Exchange){
		"another client": func(x *enforce.Exchange) {
			y := h.exchange(other, otherID, true)
			y.SubjectToken, y.SubjectTokenType = x.SubjectToken, x.SubjectTokenType
			*x = y
		},
		"another actor":      func(x *enforce.Exchange) { x.ActorToken = other.assertion(credential.ActorType, otherID, false) },
		"no actor":           func(x *enforce.Exchange) { x.ActorToken = "" },
		"no proof":           func(x *enforce.Exchange) { x.Proof = enforce.Presented{} },
		"a proof by another": func(x *enforce.Exchange) { x.Proof = other.proof(issuer+"/oauth/token", "") },
		"the client assertion twice": func(x *enforce.Exchange) {
			y := *x
			y.Proof = a.proof(issuer+"/oauth/token", "")
			_, err := h.spine.Issue(ctx, y)
			must(t, err)
		},
		"another resource": func(x *enforce.Exchange) { x.Resource = issuer + "/api" },
	} {
		if err := renew(edit); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	doc := h.document(true)
	doc.Agents[0].Disabled = true
	_, err = h.spine.Change(ctx, h.root(), enforce.Apply{Document: doc})
	must(t, err)
	if err := renew(nil); err == nil {
		t.Error("a disabled agent renewed its token")
	}
}

func TestDelegate(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	a, id := h.agents["assistant"], h.id("agent", "assistant")
	tok, err := h.take("assistant", st, true)
	must(t, err)
	x, k, hop := h.child(a, id, tok.AccessToken, st, nil)
	sub, err := h.spine.Issue(ctx, x)
	must(t, err)
	var e effects
	made, err := h.store.Entries(ctx, h.spine.Tenant, ledger.Filter{Mission: principal.UID(claims.Mission), Kind: ledger.Issue})
	must(t, err)
	if last := made[len(made)-1].Leaf; last.Hop != hop.ID || last.Run != "run_"+claims.ID[4:] {
		t.Errorf("the making of hop %s is counted in %s, not in its parent's run", last.Hop, last.Run)
	}
	d, err := h.spine.Act(ctx, h.bound(k, sub.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	want(t, d, err, "allow", "", 0)
	d, err = h.spine.Act(ctx, h.bound(k, sub.AccessToken, "write_note", `{"encounter":"E1","text":"x"}`), e.effect)
	want(t, d, err, "deny", "ceiling", 2)
	if _, err := h.spine.Act(ctx, h.bound(a, sub.AccessToken, "read", `{"patient":"P1"}`), e.effect); err == nil {
		t.Error("the parent used its child's token")
	}
	// Wider, longer, by another's signature, of another parent: refused, and seen.
	wide := func(s *proof.Statement) { s.Authority[0].Actions = []string{"delete"} }
	for name, edit := range map[string]func(*proof.Statement){
		"wider":          wide,
		"longer":         func(s *proof.Statement) { s.Expiry += 3600 },
		"another parent": func(s *proof.Statement) { s.Parent = proof.Commitment("x") },
		"another key":    func(s *proof.Statement) { s.Confirm.JKT = a.jkt },
		"deeper":         func(s *proof.Statement) { s.Depth++ },
	} {
		x, _, _ := h.child(a, id, tok.AccessToken, st, edit)
		if _, err := h.spine.Issue(ctx, x); err == nil {
			t.Errorf("%s: the hop was made", name)
		}
	}
	x, _, _ = h.child(h.agents["screener"], id, tok.AccessToken, st, nil)
	if _, err := h.spine.Issue(ctx, x); err == nil {
		t.Error("a hop signed by somebody else was made")
	}
	// Revoke hop 1: the child goes with it (case 26).
	_, err = h.spine.Change(ctx, h.root(), enforce.Revoke{Node: principal.UID(claims.ID)})
	must(t, err)
	d, err = h.spine.Act(ctx, h.bound(k, sub.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	want(t, d, err, "deny", "mandate", 1)
	if e.n.Load() != 1 {
		t.Fatalf("%d effects", e.n.Load())
	}
	_ = hop
}

// TestMaxChildren races two delegations for one place.
func TestMaxChildren(t *testing.T) {
	h := build(t)
	h.organise(true)
	one := 1
	st, _, err := h.start("clinician", "assistant", func(s *proof.Statement) { s.Limits.MaxChildren = &one })
	must(t, err)
	a, id := h.agents["assistant"], h.id("agent", "assistant")
	tok, err := h.take("assistant", st, true)
	must(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		x, _, _ := h.child(a, id, tok.AccessToken, st, nil)
		wg.Go(func() {
			if _, err := h.spine.Issue(ctx, x); err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Fatalf("%d children made, one allowed", made)
	}
}

// TestEscrow: what a child is given is taken from its parent and comes back when
// the child ends.
func TestEscrow(t *testing.T) {
	h := build(t)
	h.organise(true)
	ten, six := int64(10), int64(6)
	st, claims, err := h.start("clinician", "assistant", func(s *proof.Statement) { s.Limits.Calls = &ten })
	must(t, err)
	a, id := h.agents["assistant"], h.id("agent", "assistant")
	tok, err := h.take("assistant", st, true)
	must(t, err)
	x, k, hop := h.child(a, id, tok.AccessToken, st, func(s *proof.Statement) { s.Limits.Calls = &six })
	sub, err := h.spine.Issue(ctx, x)
	must(t, err)
	x, _, _ = h.child(a, id, tok.AccessToken, st, func(s *proof.Statement) { s.Limits.Calls = &six })
	if _, err := h.spine.Issue(ctx, x); err == nil {
		t.Fatal("twelve calls were handed out of ten")
	}
	var e effects
	for range 2 {
		d, err := h.spine.Act(ctx, h.bound(k, sub.AccessToken, "read", `{"patient":"P1"}`), e.effect)
		want(t, d, err, "allow", "", 0)
	}
	_, err = h.spine.Change(ctx, h.root(), enforce.Revoke{Node: principal.UID(hop.ID)})
	must(t, err)
	heads, err := h.store.Heads(ctx, h.spine.Tenant, principal.UID(claims.Mission))
	must(t, err)
	if got := heads[principal.UID(claims.Mission)].Calls; got != 2 {
		t.Fatalf("parent's counter %d, want the two that were used", got)
	}
}

func TestOwnerInvariant(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	doc := h.document(true)
	doc.Blueprints[0].Owner = "nobody"
	if _, err := h.spine.Change(ctx, h.root(), enforce.Apply{Document: doc}); err == nil {
		t.Fatal("a blueprint without a live owner was made")
	}
	doc = h.document(true)
	doc.Users[2].Disabled = true // lead
	if _, err := h.spine.Change(ctx, h.root(), enforce.Apply{Document: doc}); err != nil {
		t.Logf("the file cannot disable an owner outright: %v", err)
	} else {
		var e effects
		d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
		want(t, d, err, "deny", "standing", 1)
		if _, err := h.take("assistant", st, false); err == nil {
			t.Fatal("a token was issued to an agent without a live owner")
		}
	}
}

func TestMissionRefusals(t *testing.T) {
	h := build(t)
	h.organise(true)
	for name, c := range map[string]struct {
		by   string
		edit func(*proof.Statement)
	}{
		"beyond the ceiling": {"clinician", func(s *proof.Statement) { s.Authority[0].Actions = []string{"delete"} }},
		"another audience":   {"clinician", func(s *proof.Statement) { s.Audience = "https://elsewhere.test" }},
		"signed long ago":    {"clinician", func(s *proof.Statement) { s.IssuedAt -= 7200 }},
		"not entitled":       {"second", nil},
		"an unenrolled key":  {"clinician", func(s *proof.Statement) { s.Confirm.JKT = proof.Hash([]byte("x")) }},
	} {
		_, _, err := h.start(c.by, "assistant", c.edit)
		if err == nil {
			t.Errorf("%s: the mission was started", name)
		}
		if says, _ := fault.Safe(err); name == "beyond the ceiling" && !strings.Contains(says, "delete on records") ||
			strings.Contains(says, "srv_") || strings.Contains(says, "bpr_") {
			t.Errorf("%s: %q, in uids that nobody reads", name, says)
		}
	}
	st, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	if _, err := h.spine.Change(ctx, h.person("clinician"), enforce.StartMission{Statement: st}); err == nil {
		t.Error("a mission was started twice")
	}
	if _, err := h.spine.Change(ctx, h.person("second"), enforce.EndMission{ID: principal.UID(claims.Mission)}); fault.KindOf(err) != fault.Denied {
		t.Errorf("a stranger ended the mission: %v", err)
	}
	_, err = h.spine.Change(ctx, h.person("clinician"), enforce.EndMission{ID: principal.UID(claims.Mission)})
	must(t, err)
	if _, err := h.take("assistant", st, false); err == nil {
		t.Error("a token of a mission that ended")
	}
}

// TestRelationWrites is golden case 20 at the spine: reserved types are refused.
func TestRelationWrites(t *testing.T) {
	h := build(t)
	h.organise(true)
	for _, object := range []string{"agent:x", "mission:x", "hop:x", "grant:x", "ambit:x", "group:clinicians"} {
		_, err := h.spine.Change(ctx, h.root(), enforce.WriteRelations{Write: []relation.Tuple{{Object: object, Relation: "member", Subject: "user:lead"}}})
		if err == nil {
			t.Errorf("%s was written", object)
		}
	}
}

func TestReapplyWritesNothing(t *testing.T) {
	h := build(t)
	first := h.organise(true)
	second := h.organise(true)
	if second.Revision != first.Revision || second.Entry != "" || len(second.Lines) != 0 {
		t.Fatalf("first %+v, second %+v", first, second)
	}
}

// TestEnrolOnce: the first door closes behind the first administrator.
func TestEnrolOnce(t *testing.T) {
	h := build(t)
	_, err := h.spine.Enrol(ctx, enforce.Enrolment{Handle: "mallory", JWK: newKey(t).jwk, Evidence: "test"})
	if fault.KindOf(err) != fault.Denied {
		t.Fatalf("a second first administrator: %v", err)
	}
}

// TestEffectNeedsEntry: a store that cannot make the entry durable stops the call
// before its effect.
func TestEffectNeedsEntry(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	h.spine.Store = failing{h.store}
	var e effects
	_, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	if err == nil || e.n.Load() != 0 {
		t.Fatalf("%v, %d effects", err, e.n.Load())
	}
}

// failing refuses every commit, as a full disk does.
type failing struct{ ledger.Store }

func (failing) Commit(context.Context, ledger.Commit) (ledger.Receipt, error) {
	return ledger.Receipt{}, fault.Wrap(fault.Unavailable, errors.New("no space"), "the entry could not be made durable")
}

// TestRecords: every verb leaves its entries, in one chain, with what they name.
func TestRecords(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	var e effects
	_, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	must(t, err)
	_, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P2"}`), e.effect)
	must(t, err)
	_, _, err = h.spine.Tools(ctx, h.call(tok.AccessToken, "", ``))
	must(t, err)
	var got []string
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline) && len(got) < 6; time.Sleep(20 * time.Millisecond) {
		entries, err := h.store.Entries(ctx, h.spine.Tenant, ledger.Filter{Mission: principal.UID(claims.Mission)})
		must(t, err)
		got = nil
		for _, s := range entries {
			got = append(got, s.Leaf.Kind+" "+s.Leaf.Decision)
			if s.Leaf.Origin != claims.Issuer {
				t.Fatalf("%s of origin %s", s.Leaf.Kind, s.Leaf.Origin)
			}
			if proof.Commit(s.Salt, s.Payload) != s.Leaf.Payload {
				t.Fatalf("%s: the leaf does not commit to its payload", s.Leaf.Kind)
			}
			// The whole value: a hash may hold the two letters.
			if leaf := string(s.Leaf.Bytes()); strings.Contains(leaf, `"P1"`) || strings.Contains(leaf, "patient") {
				t.Fatalf("a leaf names a patient: %s", leaf)
			}
		}
	}
	all := strings.Join(got, ",")
	for _, k := range []string{"change allow", "issue allow", "decision allow", "outcome ", "decision deny", "list allow"} {
		if !strings.Contains(all, k) {
			t.Errorf("no %q among %s", k, all)
		}
	}
}

// The payload of a list that was denied once said that it was allowed.
func TestDeniedListSaysSo(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	_, err = h.spine.Change(ctx, h.root(), enforce.EndMission{ID: principal.UID(claims.Mission)})
	must(t, err)
	shown, d, err := h.spine.Tools(ctx, h.call(tok.AccessToken, "", ``))
	want(t, d, err, "deny", "mandate", 1)
	var payload struct{ Outcome string }
	for deadline := time.Now().Add(2 * time.Second); payload.Outcome == "" && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		entries, err := h.store.Entries(ctx, h.spine.Tenant, ledger.Filter{Entry: d.Entry})
		must(t, err)
		for _, s := range entries {
			must(t, json.Unmarshal(s.Payload, &payload))
		}
	}
	if len(shown) != 0 || payload.Outcome != "deny" {
		t.Errorf("%d tools shown, recorded as %q", len(shown), payload.Outcome)
	}
}

// TestOpenContextTwice: a context that is open keeps what it was opened with,
// because missions in it rest on that.
func TestOpenContextTwice(t *testing.T) {
	h := build(t)
	h.organise(true)
	open := func(patient string) error {
		_, err := h.spine.Change(ctx, h.root(), enforce.OpenContext{Type: "visit", Handle: "V1", Attributes: map[string]string{"patient": patient}})
		return err
	}
	must(t, open("P1"))
	must(t, open("P1"))
	if err := open("P2"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("opened with another patient: %v", err)
	}
}

// TestOwnAgent: an owner-rooted mission is signed by the owner, and its agent is
// entitled on its own account (cases 16 and 17).
func TestOwnAgent(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("lead", "screener", nil)
	must(t, err)
	tok, err := h.take("screener", st, false)
	must(t, err)
	var e effects
	d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P2"}`), e.effect)
	want(t, d, err, "allow", "", 0)
}

func TestNames(t *testing.T) {
	h := build(t)
	h.organise(true)
	agent := h.id("agent", "assistant")
	n, err := h.spine.Names(ctx, h.person("second"), []principal.UID{agent, "agt_nonsense"}, []string{"agent:assistant", "server:records", "agent:nobody", "nonsense"})
	must(t, err)
	server := n.Handles["server:records"]
	if n.IDs[agent] != "assistant" || n.Handles["agent:assistant"] != agent || !server.Is(principal.Server) || len(n.IDs) != 1 || len(n.Handles) != 2 {
		t.Fatalf("%+v", n)
	}
	if _, err := h.spine.Names(ctx, h.person("second"), make([]principal.UID, 1001), nil); fault.KindOf(err) != fault.TooLarge {
		t.Fatalf("a thousand and one names: %v", err)
	}
}

// TestTakeRefusals: a mission is taken with the bytes that were started, by the
// agent they name, and its token is bound to no other key than theirs.
func TestTakeRefusals(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	a, id, stranger := h.agents["assistant"], h.id("agent", "assistant"), newKey(t)
	again, err := proof.SignStatement(claims, stranger.PrivateKey) // the same hop, in other bytes
	must(t, err)
	longer := claims
	longer.Expiry += 60
	wider, err := proof.SignStatement(longer, h.people["clinician"].PrivateKey)
	must(t, err)
	for name, edit := range map[string]func(*enforce.Exchange){
		"signed by a stranger": func(x *enforce.Exchange) { x.SubjectToken = again },
		"signed, not started":  func(x *enforce.Exchange) { x.SubjectToken = wider },
		"bound to another key": func(x *enforce.Exchange) { x.Proof = stranger.proof(issuer+"/oauth/token", "") },
		"by another agent": func(x *enforce.Exchange) {
			y := h.exchange(h.agents["screener"], h.id("agent", "screener"), false) // nor as bearer
			y.SubjectToken, y.SubjectTokenType = x.SubjectToken, x.SubjectTokenType
			*x = y
		},
	} {
		x := h.exchange(a, id, true)
		x.SubjectToken, x.SubjectTokenType = st, enforce.TypeJWT
		edit(&x)
		if _, err := h.spine.Issue(ctx, x); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = h.take("assistant", st, true)
	must(t, err)
}
