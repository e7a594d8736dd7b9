package enforce_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/connect/secret"
	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/keyring"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/schema"
	"github.com/ambit-iam/ambit/internal/store"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

const issuer = "https://ambit.test"

// state follows the store; frozen, it stays behind until somebody waits for a
// revision, as a replica would.
type state struct {
	store  *store.Store
	tenant principal.UID
	mu     sync.Mutex
	snap   *decision.Snapshot
	frozen atomic.Bool
}

func (s *state) Current() (*decision.Snapshot, error) {
	if s.frozen.Load() {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.snap, nil
	}
	return s.catchUp(context.Background())
}

func (s *state) AtLeast(ctx context.Context, revision int64) (*decision.Snapshot, error) {
	snap, err := s.catchUp(ctx)
	if err == nil && snap.Revision < revision {
		err = fault.New(fault.Unavailable, "no revision %d yet", revision)
	}
	return snap, err
}

func (s *state) catchUp(ctx context.Context) (*decision.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	revs, err := s.store.Changes(ctx, s.tenant, s.snap.Revision, 1000)
	for _, r := range revs {
		if err == nil {
			s.snap, err = s.snap.Apply(r.N, r.Rows)
		}
	}
	return s.snap, err
}

// a key signs as people and agents do, with the public key in the header or
// named by its thumbprint.
type key struct {
	*ecdsa.PrivateKey
	jwk []byte
	jkt string
}

func newKey(t testing.TB) key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	jwk := proof.PublicJWK(&k.PublicKey)
	jkt, err := proof.Thumbprint(jwk)
	must(t, err)
	return key{k, jwk, jkt}
}

func (k key) jws(typ string, open bool, claims map[string]any) string {
	id := fmt.Sprintf(`"kid":%q`, k.jkt)
	if open {
		id = `"jwk":` + string(k.jwk)
	}
	enc := base64.RawURLEncoding
	payload, _ := json.Marshal(claims)
	in := enc.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256",%s,"typ":%q}`, id, typ)) + "." + enc.EncodeToString(payload)
	sum := sha256.Sum256([]byte(in))
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, sum[:])
	if err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return in + "." + enc.EncodeToString(sig)
}

func (k key) assertion(typ string, id principal.UID, open bool) string {
	now := time.Now().Unix()
	return k.jws(typ, open, map[string]any{"iss": id, "sub": id, "aud": issuer, "jti": rand.Text(), "iat": now, "exp": now + 50})
}

func (k key) proof(url, token string) enforce.Presented {
	c := map[string]any{"htm": "POST", "htu": url, "jti": rand.Text(), "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return enforce.Presented{Scheme: "DPoP", Token: token, Proof: k.jws("dpop+jwt", true, c), Method: "POST", URL: url}
}

// a house is a spine over a real store and real keys, with the golden fixture's
// organisation and a fake upstream that remembers what reached it.
type house struct {
	t       testing.TB
	dir     string
	store   *store.Store
	state   *state
	spine   *enforce.Spine
	admin   key
	adminID principal.UID
	people  map[string]key
	agents  map[string]key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		var d *enforce.Denied
		if errors.As(err, &d) {
			t.Fatalf("%v: %+v", err, d.Decision)
		}
		t.Fatal(err)
	}
}

func build(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), people: map[string]key{}, agents: map[string]key{}}
	ctx := context.Background()
	var err error
	h.store, err = store.Open(ctx, store.Options{Dir: h.dir})
	must(t, err)
	t.Cleanup(func() { h.store.Close() })
	mint := principal.Minter{Now: func() time.Time { return time.Now().UTC() }, Entropy: rand.Reader}
	tenant := mint.New(principal.Tenant)
	must(t, h.store.Init(ctx, tenant, issuer))
	keys, err := keyring.Open(h.dir+"/keys", issuer)
	must(t, err)
	empty, err := decision.Empty(tenant)
	must(t, err)
	h.state = &state{store: h.store, tenant: tenant, snap: empty}
	h.spine = &enforce.Spine{Tenant: tenant, Issuer: issuer, Store: h.store, Log: h.store, State: h.state, Tokens: keys,
		Credentials: credential.Verifier{Issuer: issuer, Tokens: keys, Replay: credential.NewReplay(1<<16, time.Time{}, ""), Cache: credential.NewCache(1 << 12)},
		Secrets:     secret.Source{}, Mint: mint, Flush: func(context.Context) error { return nil }, LogKey: keys.LogKey(),
		Logger: slog.New(slog.DiscardHandler)}
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = h.spine.Watch(watching) }()
	t.Cleanup(func() { stop(); <-done })
	h.admin = newKey(t)
	made, err := h.spine.Enrol(ctx, enforce.Enrolment{Handle: "root", JWK: h.admin.jwk, Evidence: "test"})
	must(t, err)
	h.adminID = made.Objects["user"]
	return h
}

// api signs somebody in.
func (h *house) api(k key, id principal.UID) enforce.Presented {
	h.t.Helper()
	out, err := h.spine.Issue(context.Background(), enforce.Exchange{GrantType: enforce.GrantJWTBearer,
		Assertion: k.assertion(credential.LoginType, id, false), Resource: h.spine.API()})
	must(h.t, err)
	return enforce.Presented{Scheme: "Bearer", Token: out.AccessToken}
}

func (h *house) root() enforce.Presented { return h.api(h.admin, h.adminID) }

// text is the JSON of an organisation: the golden fixture's shape, cut to what
// these tests need, with keys for people and agents.
func (h *house) document(bearer bool) organisation.Document {
	h.t.Helper()
	for _, p := range []string{"clinician", "lead", "second"} {
		if _, ok := h.people[p]; !ok {
			h.people[p] = newKey(h.t)
		}
	}
	for _, a := range []string{"assistant", "screener"} {
		if _, ok := h.agents[a]; !ok {
			h.agents[a] = newKey(h.t)
		}
	}
	text := fmt.Sprintf(`{
	 "users": [{"id":"root","groups":["administrators"]},{"id":"clinician","key":%s,"groups":["clinicians"]},{"id":"lead","key":%s},{"id":"second","key":%s}],
	 "groups": [{"id":"clinicians"},{"id":"administrators","name":"Administrators"}],
	 "blueprints": [
	  {"id":"assistant","owner":"lead","purpose":"notes","entitlement":"delegated","bearer":%v,
	   "ceiling":[{"type":"mcp_tool","server":"records","actions":["read"],"arguments":{"patient":{"any":true}}},
	              {"type":"mcp_tool","server":"records","actions":["write_note"],"arguments":{"encounter":{"any":true},"text":{"any":true}}}]},
	  {"id":"summarizer","owner":"second","purpose":"summaries","entitlement":"delegated",
	   "ceiling":[{"type":"mcp_tool","server":"records","actions":["read"],"arguments":{"patient":{"any":true}}}]},
	  {"id":"screener","owner":"lead","purpose":"freeze","entitlement":"own","bearer":true,
	   "ceiling":[{"type":"mcp_tool","server":"records","actions":["read"],"arguments":{"patient":{"any":true}}}]}],
	 "agents": [{"id":"assistant","blueprint":"assistant","key":%s},{"id":"screener","blueprint":"screener","key":%s}],
	 "servers": [{"id":"records","url":"http://127.0.0.1:9/mcp","tools":{
	   "read":{"effect":"read","resource":"patient:{args.patient}"},"write_note":{"effect":"write","resource":"encounter:{args.encounter}"},
	   "delete":{"effect":"destructive","resource":"patient:{args.patient}"}}}],
	 "tuples": [{"object":"patient:P1","relation":"care_team","subject":"user:clinician"},{"object":"encounter:E1","relation":"patient","subject":"patient:P1"}],
	 "policies": [{"name":"p","text":"@id(\"care-team\") permit(principal, action in [Action::\"records.read\",Action::\"records.write_note\"], resource) when { context.relations.contains(\"care_team\") };\n@id(\"missions\") permit(principal in Group::\"clinicians\", action == Action::\"mission.create\", resource == Blueprint::\"assistant\");\n@id(\"own\") permit(principal == User::\"lead\", action == Action::\"mission.create\", resource == Blueprint::\"screener\");\n@id(\"screen\") permit(principal in Blueprint::\"screener\", action == Action::\"records.read\", resource);"}]
	}`, h.people["clinician"].jwk, h.people["lead"].jwk, h.people["second"].jwk, bearer, h.agents["assistant"].jwk, h.agents["screener"].jwk)
	doc, err := organisation.Parse([]byte(text))
	must(h.t, err)
	m, err := schema.ParseOpenFGA("model\n  schema 1.1\ntype user\ntype patient\n  relations\n    define care_team: [user]\ntype encounter\n  relations\n    define patient: [patient]\n    define care_team: care_team from patient\n")
	must(h.t, err)
	doc.Model = &m
	return doc
}

func shown() map[string][]json.RawMessage {
	var tools []json.RawMessage
	for _, n := range []string{"delete", "read", "write_note"} {
		tools = append(tools, json.RawMessage(fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, n)))
	}
	return map[string][]json.RawMessage{"records": tools}
}

func (h *house) organise(bearer bool) enforce.Changed {
	h.t.Helper()
	out, err := h.spine.Change(context.Background(), h.root(), enforce.Apply{Document: h.document(bearer), Shown: shown()})
	must(h.t, err)
	return out
}

func (h *house) id(kind, handle string) principal.UID {
	h.t.Helper()
	snap, err := h.state.catchUp(context.Background())
	must(h.t, err)
	id, ok := snap.Directory.Resolve(kind, handle)
	if !ok {
		h.t.Fatalf("no %s %s", kind, handle)
	}
	return id
}

func (h *house) person(name string) enforce.Presented {
	return h.api(h.people[name], h.id("user", name))
}

// start signs and starts a mission and returns its statement.
func (h *house) start(by, agent string, edit func(*proof.Statement)) (string, proof.Statement, error) {
	h.t.Helper()
	st, err := h.spine.Draft(context.Background(), h.person(by), enforce.MissionRequest{Agent: agent, Intent: "draft the note", For: 3600})
	if err != nil {
		return "", st, err
	}
	if edit != nil {
		edit(&st)
	}
	compact, err := proof.SignStatement(st, h.people[by].PrivateKey)
	must(h.t, err)
	_, err = h.spine.Change(context.Background(), h.person(by), enforce.StartMission{Statement: compact})
	return compact, st, err
}

// take exchanges a statement for the agent's token; bound uses DPoP.
func (h *house) take(agent, statement string, bound bool) (enforce.Issued, error) {
	x := h.exchange(h.agents[agent], h.id("agent", agent), bound)
	x.SubjectToken, x.SubjectTokenType = statement, enforce.TypeJWT
	return h.spine.Issue(context.Background(), x)
}

// exchange is what every exchange by an agent has in common.
func (h *house) exchange(k key, id principal.UID, bound bool) enforce.Exchange {
	x := enforce.Exchange{GrantType: enforce.GrantTokenExchange, ClientID: string(id),
		ClientAssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		ClientAssertion:     k.assertion(credential.ClientType, id, false),
		ActorToken:          k.assertion(credential.ActorType, id, false), ActorTokenType: enforce.TypeJWT,
		Resource: h.spine.Resource("records")}
	if bound {
		x.Proof = k.proof(issuer+"/oauth/token", "")
	}
	return x
}

// child makes the exchange by which a parent delegates to a fresh sub-agent.
func (h *house) child(parent key, parentID principal.UID, token, parentStatement string, edit func(*proof.Statement)) (enforce.Exchange, key, proof.Statement) {
	h.t.Helper()
	above, _, err := proof.ParseStatement(parentStatement)
	must(h.t, err)
	k := newKey(h.t)
	id := h.spine.Mint.New(principal.Agent)
	srv := above.Authority[0].Server
	st := proof.Statement{Issuer: string(parentID), Subject: string(id), Audience: issuer, ID: string(h.spine.Mint.New(principal.Hop)),
		IssuedAt: time.Now().Unix(), Expiry: above.Expiry, Mission: above.Mission, Blueprint: string(h.id("blueprint", "summarizer")),
		Authority: authority.Set{{Type: authority.MCPTool, Server: srv, Actions: []string{"read"}, Arguments: map[string]authority.Constraint{"patient": exact("P1")}}},
		Depth:     above.Depth + 1, Confirm: proof.Confirm{JKT: k.jkt}, Nonce: base64.RawURLEncoding.EncodeToString([]byte(rand.Text())[:16]), Parent: proof.Commitment(parentStatement)}
	if edit != nil {
		edit(&st)
	}
	hop, err := proof.SignStatement(st, parent.PrivateKey)
	must(h.t, err)
	x := h.exchange(parent, parentID, true)
	x.SubjectToken, x.SubjectTokenType, x.Delegation = token, enforce.TypeAccessToken, hop
	x.ActorToken = k.assertion(credential.ActorType, id, true)
	return x, k, st
}

func exact(s string) authority.Constraint {
	v := authority.StringValue(s)
	return authority.Constraint{Exact: &v}
}

// call is a tools/call with a bearer token.
func (h *house) call(token, tool, args string) enforce.Call {
	return enforce.Call{Presented: enforce.Presented{Scheme: "Bearer", Token: token}, Server: "records", Method: "tools/call",
		Tool: tool, Arguments: json.RawMessage(args)}
}

// bound is a tools/call with a DPoP token and a fresh proof.
func (h *house) bound(k key, token, tool, args string) enforce.Call {
	c := h.call(token, tool, args)
	c.Presented = k.proof(h.spine.Resource("records"), token)
	return c
}

// effects counts what reached the upstream.
type effects struct{ n atomic.Int64 }

func (e *effects) effect(context.Context, broker.Opened) (enforce.Result, error) {
	e.n.Add(1)
	return enforce.Result{Status: "ok", Digest: "d", Bytes: 1}, nil
}

func emptyOf(t testing.TB, tenant principal.UID) *decision.Snapshot {
	t.Helper()
	s, err := decision.Empty(tenant)
	must(t, err)
	return s
}
