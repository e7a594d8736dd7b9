package enforce_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/connect/secret"
	"github.com/ambit-iam/ambit/internal/connect/upstream"
	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// Each of these is an attack that once worked.

// A person who may start missions signs a root whose hop has the id of somebody
// else's: the other's hop would be overwritten, and their mission be dead.
func TestAttackRootTakesAnothersHop(t *testing.T) {
	h := build(t)
	h.organise(true)
	victim, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", victim, false)
	must(t, err)
	_, _, err = h.start("lead", "screener", func(s *proof.Statement) { s.ID = claims.ID })
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("a mission was started over the hop of another: %v", err)
	}
	var e effects
	d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), e.effect)
	want(t, d, err, "allow", "", 0)
}

// Two replicas that do not know of each other's hop make one of the same id, or
// an agent of the same uid, at once: the second must not replace the first.
func TestAttackTwoMakeOneHop(t *testing.T) {
	for _, shared := range []string{"hop", "agent"} {
		t.Run(shared, func(t *testing.T) {
			h := build(t)
			h.organise(true)
			root, _, err := h.start("clinician", "assistant", nil)
			must(t, err)
			tok, err := h.take("assistant", root, true)
			must(t, err)
			k, id := h.agents["assistant"], h.id("agent", "assistant")
			one, _, first := h.child(k, id, tok.AccessToken, root, nil)
			_, err = h.spine.Issue(ctx, one)
			must(t, err)
			two, mallory, _ := h.child(k, id, tok.AccessToken, root, func(s *proof.Statement) {
				if shared == "hop" {
					s.ID = first.ID
				} else {
					s.Subject = first.Subject
				}
			})
			if shared == "agent" { // the newcomer claims the first one's uid with a key of its own
				two.ActorToken = mallory.assertion(credential.ActorType, principal.UID(first.Subject), true)
			}
			h.state.frozen.Store(true)
			h.lag(t) // to before the first child
			if _, err := h.spine.Issue(ctx, two); err == nil {
				t.Fatalf("the same %s was made twice", shared)
			}
			h.state.frozen.Store(false)
			snap, err := h.state.Current()
			must(t, err)
			agent, _ := snap.Directory.Agent(principal.UID(first.Subject))
			if hop, _ := snap.Missions.Hop(principal.UID(first.ID)); hop.JKT != first.Confirm.JKT || agent.Keys[0].JKT != first.Confirm.JKT {
				t.Error("the second replaced the first")
			}
		})
	}
}

// An apply gives a tool another meaning, and its server another address, while a
// call is decided: the call must be decided again on the new meaning and go to
// the new address.
func TestAttackApplyBetweenVerdictAndCommit(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	move := func(url, resource string) {
		t.Helper()
		doc := h.document(true)
		doc.Servers[0].URL = url
		read := doc.Servers[0].Tools["read"]
		read.Resource = mapping.Template(resource)
		doc.Servers[0].Tools["read"] = read
		root := h.root()
		h.state.frozen.Store(true)
		_, err = h.spine.Change(ctx, root, enforce.Apply{Document: doc, Shown: shown()})
		must(t, err)
		h.lag(t)
	}
	var url atomic.Value
	effect := func(_ context.Context, o broker.Opened) (enforce.Result, error) {
		url.Store(o.Server().URL)
		return enforce.Result{Status: "ok"}, nil
	}
	move("http://127.0.0.1:10/mcp", "patient:{args.patient}")
	d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), effect)
	want(t, d, err, "allow", "", 0)
	if got := url.Load(); got != "http://127.0.0.1:10/mcp" {
		t.Errorf("the call went to %v, where the server no longer is", got)
	}
	move("http://127.0.0.1:10/mcp", "patient:x-{args.patient}")
	d, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), effect)
	want(t, d, err, "deny", "entitlement", 0)
}

// A key that was withdrawn from an agent is worth nothing from then on, whatever
// tokens it still holds and whomever it delegated to.
func TestAttackWithdrawnKey(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, true)
	must(t, err)
	stolen := h.agents["assistant"]
	x, sub, _ := h.child(stolen, h.id("agent", "assistant"), tok.AccessToken, st, nil)
	subTok, err := h.spine.Issue(ctx, x)
	must(t, err)
	h.agents["assistant"] = newKey(t)
	h.organise(true)
	var e effects
	for _, call := range []enforce.Call{
		h.bound(stolen, tok.AccessToken, "read", `{"patient":"P1"}`), h.bound(sub, subTok.AccessToken, "read", `{"patient":"P1"}`),
	} {
		if d, err := h.spine.Act(ctx, call, e.effect); err == nil || e.n.Load() != 0 {
			t.Errorf("a withdrawn key acted: %s, %d effects", d.Sentence(), e.n.Load())
		}
	}
}

// An own blueprint becomes delegated, which takes a right from it. Its owner's
// live missions must not thereby lose the one stage that asked for a permit.
func TestAttackOwnMissionOutlivesEntitlement(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("lead", "screener", nil)
	must(t, err)
	tok, err := h.take("screener", st, false)
	must(t, err)
	doc := h.document(true)
	doc.Blueprints[2].Entitlement = "delegated"
	doc.Policies[0].Text = doc.Policies[0].Text[:strings.Index(doc.Policies[0].Text, `@id("screen")`)]
	_, err = h.spine.Change(ctx, h.root(), enforce.Apply{Document: doc, Shown: shown()})
	must(t, err)
	var e effects
	d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P2"}`), e.effect)
	want(t, d, err, "deny", "mandate", 1)
}

// An agent that becomes one of a narrower class keeps nothing of the wider one.
func TestAttackAgentChangesBlueprint(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	doc := h.document(true)
	doc.Agents[0].Blueprint = "summarizer" // which may not write notes
	_, err = h.spine.Change(ctx, h.root(), enforce.Apply{Document: doc, Shown: shown()})
	must(t, err)
	var e effects
	d, err := h.spine.Act(ctx, h.call(tok.AccessToken, "write_note", `{"encounter":"E1","text":"t"}`), e.effect)
	want(t, d, err, "deny", "mandate", 1)
}

// What an agent sends where a tool or a method is named stays out of the leaf: a
// long one would make a leaf that no verifier reads, and so the evidence of the
// whole mission worthless, and a name could never be erased.
func TestAttackLeafHoldsNothingOfTheCaller(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, claims, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	const canary = "jane-doe"
	long := canary + strings.Repeat("x", proof.MaxLeaf)
	var e effects
	_, err = h.spine.Act(ctx, h.call(tok.AccessToken, long, `{}`), e.effect)
	must(t, err)
	for _, method := range []string{long, "notifications/" + long} {
		call := h.call(tok.AccessToken, "", ``)
		call.Method = method
		_, err = h.spine.Refuse(ctx, call, "unknown method")
		must(t, err)
		_, err = h.spine.Check(ctx, call)
		must(t, err)
	}
	kinds := map[string]int{}
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline) && kinds["decision"] < 3; time.Sleep(20 * time.Millisecond) {
		entries, err := h.store.Entries(ctx, h.spine.Tenant, ledger.Filter{Mission: principal.UID(claims.Mission)})
		must(t, err)
		clear(kinds)
		for _, s := range entries {
			kinds[s.Leaf.Kind]++
			if b := s.Leaf.Bytes(); len(b) > 4096 || strings.Contains(string(b), canary) {
				t.Fatalf("a leaf of %d bytes holds what the caller sent: %.80s", len(b), s.Leaf.Action)
			}
		}
	}
	if kinds["decision"] != 3 || kinds["check"] != 2 {
		t.Fatalf("%v: an attempt is not on the record", kinds)
	}
}

// A server that repeats what it was sent, in an error as many do, must not hand
// the gateway's credential to the agent.
func TestAttackCredentialComesBack(t *testing.T) {
	const canary = `s3cr3t"canary`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct{ Name string }
		}
		b, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(b, &m)
		said, _ := json.Marshal("your token " + r.Header.Get("Authorization") + " has no such right")
		answer := `"result":{"content":[{"type":"text","text":"fine"}]}`
		switch {
		case m.ID == nil:
			w.WriteHeader(http.StatusAccepted)
			return
		case m.Method == "initialize":
			answer = `"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"1"}}`
		case m.Params.Name == "read":
			answer = `"error":{"code":-32000,"message":` + string(said) + `}`
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,`+answer+`}`)
	}))
	defer srv.Close()
	up := upstream.New(upstream.Options{})
	defer up.Close(ctx)
	h := build(t)
	h.spine.Secrets = secret.Source{Lookup: func(string) (string, bool) { return canary, true }}
	doc := h.document(true)
	doc.Servers[0].URL, doc.Servers[0].Headers = srv.URL, map[string]mapping.Secret{"Authorization": {FromEnv: "TOKEN", Prefix: "Bearer "}}
	_, err := h.spine.Change(ctx, h.root(), enforce.Apply{Document: doc, Shown: shown()})
	must(t, err)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", st, false)
	must(t, err)
	for _, c := range []struct{ tool, args, want string }{
		{"write_note", `{"encounter":"E1","text":"t"}`, "fine"},
		{"read", `{"patient":"P1"}`, ""},
	} {
		var got broker.Reply
		_, err := h.spine.Act(ctx, h.call(tok.AccessToken, c.tool, c.args), func(ctx context.Context, o broker.Opened) (r enforce.Result, err error) {
			got, err = up.Call(ctx, o, "tools/call", json.RawMessage(`{"name":"`+c.tool+`","arguments":`+c.args+`}`), nil)
			return enforce.Result{Status: "ok"}, err
		})
		if all := string(got.Result) + string(got.Error); strings.Contains(all, "canary") || !strings.Contains(all, c.want) || (err == nil) != (c.want != "") {
			t.Errorf("%s: the agent is told %s, %v", c.tool, all, err)
		}
	}
}

// Whoever is not known sends proofs by keys of their own, which cost nothing. They
// must not use up the room in which replays are told apart.
func TestAttackProofsOfNobody(t *testing.T) {
	h := build(t)
	h.organise(true)
	st, _, err := h.start("clinician", "assistant", nil)
	must(t, err)
	h.spine.Credentials.Replay = credential.NewReplay(64, time.Time{}, "")
	mallory := newKey(t)
	id := h.id("agent", "assistant")
	for range 200 {
		if _, err := h.spine.Issue(ctx, h.exchange(mallory, id, true)); err == nil {
			t.Fatal("an unknown key was taken")
		}
	}
	for range 200 {
		_, err := h.spine.Issue(ctx, enforce.Exchange{GrantType: enforce.GrantJWTBearer, Resource: h.spine.API(),
			Assertion: mallory.assertion(credential.LoginType, h.adminID, false), Proof: mallory.proof(issuer+"/oauth/token", "")})
		if err == nil {
			t.Fatal("an unknown key signed in")
		}
	}
	_, err = h.take("assistant", st, true)
	must(t, err)
}

// A call that is long under way when its mission ends is cut, not let finish; one
// that nothing ended is not.
func TestAttackCallOutlivesRevoke(t *testing.T) {
	for _, revoke := range []bool{true, false} {
		h := build(t)
		h.organise(true)
		st, claims, err := h.start("clinician", "assistant", nil)
		must(t, err)
		tok, err := h.take("assistant", st, false)
		must(t, err)
		root, cut := h.root(), false
		_, err = h.spine.Act(ctx, h.call(tok.AccessToken, "read", `{"patient":"P1"}`), func(ctx context.Context, _ broker.Opened) (enforce.Result, error) {
			wait := 300 * time.Millisecond
			if revoke {
				_, err := h.spine.Change(ctx, root, enforce.Revoke{Node: principal.UID(claims.Mission)})
				must(t, err)
				wait = 5 * time.Second
			}
			select {
			case <-ctx.Done():
				cut = true
			case <-time.After(wait):
			}
			return enforce.Result{Status: "ok"}, nil
		})
		must(t, err)
		if cut != revoke {
			t.Errorf("revoked %v, cut %v", revoke, cut)
		}
	}
}
