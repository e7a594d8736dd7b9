package admin_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/face/admin"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

const issuer = "https://ambit.test"

// spine is a Writer and Reader that keeps what it was asked and answers err, or
// something small.
type spine struct {
	presented enforce.Presented
	mutation  enforce.Mutation
	question  enforce.Question
	request   enforce.MissionRequest
	mission   principal.UID
	unprobed  []mapping.Server
	probed    []string
	err       error
}

func (s *spine) Change(_ context.Context, p enforce.Presented, m enforce.Mutation) (enforce.Changed, error) {
	s.presented, s.mutation = p, m
	return enforce.Changed{Entry: "ent_x", Revision: 7, Objects: map[string]principal.UID{"mission": "msn_x"}, Lines: []string{"done"}}, s.err
}
func (s *spine) Unprobed(_ context.Context, p enforce.Presented, _ organisation.Document) ([]mapping.Server, error) {
	s.presented = p
	return s.unprobed, s.err
}
func (s *spine) Probe(_ context.Context, _ enforce.Presented, m mapping.Server, _ enforce.Upstreams) ([]json.RawMessage, error) {
	s.probed = append(s.probed, m.Handle)
	return []json.RawMessage{json.RawMessage(`{"name":"read"}`)}, s.err
}
func (s *spine) Names(_ context.Context, p enforce.Presented, ids []principal.UID, _ []string) (enforce.Names, error) {
	s.presented = p
	n := enforce.Names{IDs: map[principal.UID]string{}, Handles: map[string]principal.UID{}}
	for _, id := range ids {
		n.IDs[id] = "named"
	}
	return n, s.err
}
func (s *spine) Whoami(_ context.Context, p enforce.Presented) (enforce.Self, error) {
	s.presented = p
	return enforce.Self{ID: "usr_x", Handle: "me", Issuer: issuer}, s.err
}
func (s *spine) Can(_ context.Context, _ enforce.Presented, q enforce.Question) (enforce.Decision, error) {
	s.question = q
	return enforce.Decision{Outcome: "deny", Link: 1, Stage: "ceiling", Reason: "no"}, s.err
}
func (s *spine) Draft(_ context.Context, _ enforce.Presented, q enforce.MissionRequest) (proof.Statement, error) {
	s.request = q
	return proof.Statement{Issuer: "usr_x", Intent: "a < b", Authority: q.Authority}, s.err
}
func (s *spine) Show(_ context.Context, _ enforce.Presented, id principal.UID) (enforce.MissionView, error) {
	s.mission = id
	return enforce.MissionView{}, s.err
}
func (s *spine) Story(_ context.Context, _ enforce.Presented, id principal.UID) (history.Tree, error) {
	s.mission = id
	return history.Tree{Mission: id, Intent: "draft the note"}, s.err
}
func (s *spine) Export(_ context.Context, _ enforce.Presented, id principal.UID) (proof.Bundle, error) {
	s.mission = id
	return proof.Bundle{}, s.err
}

func face(t testing.TB, s *spine) *route.Mux {
	t.Helper()
	mux, err := route.New(route.Config{Issuer: issuer, Mint: principal.Minter{Now: time.Now, Entropy: rand.Reader}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&admin.Face{Writes: s, Reads: s, Mux: mux, Version: "test"}).Mount(); err != nil {
		t.Fatal(err)
	}
	return mux
}

func call(h http.Handler, method, path, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, issuer+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "DPoP tok")
	r.Header.Set("DPoP", "proof")
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWrites(t *testing.T) {
	tuple := relation.Tuple{Object: "patient:P1", Relation: "care_team", Subject: "user:clinician"}
	for name, c := range map[string]struct {
		path, body string
		want       enforce.Mutation
	}{
		"relations": {"/relations:write", `{"write":[{"object":"patient:P1","relation":"care_team","subject":"user:clinician"}]}`,
			enforce.WriteRelations{Write: []relation.Tuple{tuple}}},
		"open":   {"/contexts:open", `{"type":"encounter","handle":"E1","attributes":{"patient":"P1"}}`, enforce.OpenContext{Type: "encounter", Handle: "E1", Attributes: map[string]string{"patient": "P1"}}},
		"close":  {"/contexts:close", `{"type":"encounter","handle":"E1"}`, enforce.CloseContext{Type: "encounter", Handle: "E1"}},
		"revoke": {"/revoke", `{"node":"agt_x"}`, enforce.Revoke{Node: "agt_x"}},
		"start":  {"/missions", `{"statement":"a.b.c"}`, enforce.StartMission{Statement: "a.b.c"}},
		"end":    {"/missions/msn_x/end", ``, enforce.EndMission{ID: "msn_x"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &spine{}
			w := call(face(t, s), "POST", "/api/v1"+c.path, c.body)
			if w.Code != 200 || w.Body.String() != `{"entry":"ent_x","revision":7,"objects":{"mission":"msn_x"},"lines":["done"]}` {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if d := cmp.Diff(c.want, s.mutation); d != "" {
				t.Error(d)
			}
			want := enforce.Presented{Scheme: "DPoP", Token: "tok", Proof: "proof", Method: "POST", URL: issuer + "/api/v1" + c.path, Request: s.presented.Request}
			if d := cmp.Diff(want, s.presented); d != "" {
				t.Error(d)
			}
			if w.Header().Get("Cache-Control") != "no-store" || string(s.presented.Request) != w.Header().Get("X-Request-ID") {
				t.Errorf("%v", w.Header())
			}
		})
	}
}

func TestApplyProbesFirst(t *testing.T) {
	s := &spine{unprobed: []mapping.Server{{Handle: "records"}, {Handle: "files"}}}
	const dsl = "model\n  schema 1.1\ntype user\ntype patient\n  relations\n    define care_team: [user]\n"
	doc, _ := json.Marshal(map[string]any{"users": []any{map[string]any{"id": "me"}},
		"model": map[string]any{"types": map[string]any{"everything": map[string]any{}}, "source": dsl}})
	w := call(face(t, s), "POST", "/api/v1/apply", `{"document":`+string(doc)+`}`)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	got, ok := s.mutation.(enforce.Apply)
	if !ok || len(got.Shown) != 2 || len(s.probed) != 2 || len(got.Document.Users) != 1 {
		t.Fatalf("%+v", s.mutation)
	}
	if _, smuggled := got.Document.Model.Types["everything"]; smuggled || got.Document.Model.Types["patient"] == nil {
		t.Errorf("the model that was sent, not its source, was applied: %v", got.Document.Model.Types)
	}
	for name, bad := range map[string]string{
		"unknown member": `{"document":{"wat":1}}`, "invalid": `{"document":{"agents":[{"id":"a","blueprint":"none"}]}}`,
		"no document": `{}`, "model does not parse": `{"document":{"model":{"types":{},"source":"nonsense"}}}`,
	} {
		s := &spine{}
		if w := call(face(t, s), "POST", "/api/v1/apply", bad); w.Code != 400 || s.mutation != nil {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestMissions(t *testing.T) {
	s := &spine{}
	h := face(t, s)
	w := call(h, "POST", "/api/v1/missions:draft", `{"agent":"assistant","intent":"x","for":60,"authority":[{"type":"mcp_tool","server":"records","actions":["read"],"arguments":{"patient":{"exact":"P1"}}}]}`)
	var st proof.Statement
	if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil || w.Code != 200 || st.Intent != "a < b" || s.request.Agent != "assistant" {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	if len(st.Authority) != 1 || st.Authority[0].Type != authority.MCPTool || string(st.Authority[0].Arguments["patient"].Exact.Raw) != `"P1"` {
		t.Errorf("authority went wrong on its way: %+v", st.Authority)
	}
	if w := call(h, "POST", "/api/v1/missions:draft", `{"agent":"a","wish":1}`); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(h, "GET", "/api/v1/missions/msn_x", ""); w.Code != 200 || s.mission != "msn_x" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(h, "GET", "/api/v1/missions/msn_y/story", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "draft the note") || s.mission != "msn_y" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(h, "GET", "/api/v1/missions/msn_z/bundle", ""); w.Code != 200 || w.Header().Get("Content-Type") != "application/zip" || !strings.HasPrefix(w.Body.String(), "PK") || s.mission != "msn_z" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := call(h, "GET", "/api/v1/whoami", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"handle":"me"`) || s.presented.Method != "GET" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(h, "POST", "/api/v1/can", `{"agent":"assistant","action":"records.read","arguments":{"patient":"P1"}}`); w.Code != 200 ||
		string(s.question.Arguments) != `{"patient":"P1"}` || !strings.Contains(w.Body.String(), `"stage":"ceiling"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRefusedBodies(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		edit       func(*http.Request)
		status     int
	}{
		"not JSON":            {path: "/revoke", body: `{`, status: 400},
		"a member twice":      {path: "/revoke", body: `{"node":"a","node":"b"}`, status: 400},
		"in another case":     {path: "/revoke", body: `{"Node":"a"}`, status: 400},
		"an unknown member":   {path: "/revoke", body: `{"node":"a","force":true}`, status: 400},
		"trailing bytes":      {path: "/revoke", body: `{"node":"a"}{}`, status: 400},
		"wrong type":          {path: "/revoke", body: `{"node":1}`, status: 400},
		"null":                {path: "/revoke", body: `null`, status: 400},
		"empty":               {path: "/revoke", body: ``, edit: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, status: 400},
		"another media type":  {path: "/revoke", body: `{"node":"a"}`, edit: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, status: 400},
		"no media type":       {path: "/revoke", body: `{"node":"a"}`, edit: func(r *http.Request) { r.Header.Del("Content-Type") }, status: 400},
		"too large":           {path: "/revoke", body: `{"node":"` + strings.Repeat("a", 1<<20) + `"}`, status: 413},
		"unknown query":       {path: "/revoke?dry=1", body: `{"node":"a"}`, status: 400},
		"token in the query":  {path: "/revoke?access_token=t", body: `{"node":"a"}`, status: 400},
		"too many tuples":     {path: "/relations:write", body: `{"write":[` + strings.Repeat(`{"object":"a:b","relation":"c","subject":"d:e"},`, 1000) + `{"object":"a:b","relation":"c","subject":"d:e"}]}`, status: 400},
		"question twice over": {path: "/can", body: `{"agent":"a","agent":"b"}`, status: 400},
		"two authorizations":  {path: "/revoke", body: `{"node":"a"}`, edit: func(r *http.Request) { r.Header.Add("Authorization", "Bearer b") }, status: 400},
		"another origin":      {path: "/revoke", body: `{"node":"a"}`, edit: func(r *http.Request) { r.Header.Set("Origin", "https://evil") }, status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			s := &spine{}
			edit := c.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			w := call(face(t, s), "POST", "/api/v1"+c.path, c.body, edit)
			var p route.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Status != c.status || p.RequestID == "" ||
				w.Header().Get("Content-Type") != route.ProblemType || p.Detail == "" {
				t.Fatalf("%d %s %v", w.Code, w.Body, err)
			}
			if s.mutation != nil {
				t.Error("it reached the spine")
			}
		})
	}
}

func TestDenialCarriesItsDecision(t *testing.T) {
	s := &spine{err: fault.Wrap(fault.Denied, &enforce.Denied{Decision: enforce.Decision{Outcome: "deny", Stage: "entitlement", Reason: "not an administrator"}}, "denied: link 0").WithHint("ask")}
	w := call(face(t, s), "POST", "/api/v1/revoke", `{"node":"agt_x"}`)
	var p struct {
		route.Problem
		Decision enforce.Decision
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 403 || p.Code != "denied" || p.Hint != "ask" || p.Decision.Stage != "entitlement" {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
	s.err = fault.New(fault.Unauthenticated, "no token")
	w = call(face(t, s), "GET", "/api/v1/whoami", "")
	if w.Code != 401 || len(w.Header().Values("WWW-Authenticate")) != 2 || w.Header().Get("Content-Type") != route.ProblemType {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	s.err = fault.New(fault.Internal, "secret")
	if w := call(face(t, s), "GET", "/api/v1/missions/msn_x/story", ""); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The published description is a file beside the test, so that a change of the
// API shows in its diff. AMBIT_UPDATE=1 rewrites it.
func TestDescription(t *testing.T) {
	h := face(t, &spine{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", issuer+"/openapi.json", nil))
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	got, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "openapi.json")
	if os.Getenv("AMBIT_UPDATE") != "" {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
		t.Errorf("the API changed (AMBIT_UPDATE=1 accepts it):\n%s", d)
	}
	for _, r := range h.Routes() {
		if r.Action == "" {
			t.Errorf("%s has no action", r.Pattern)
		}
	}
}

// FuzzBody: whatever is sent, the answer is a success or a problem, never an
// internal fault.
func FuzzBody(f *testing.F) {
	f.Add("/can", `{"agent":"a","arguments":{"x":1}}`)
	f.Add("/missions:draft", `{"agent":"a","authority":[{"type":"mcp_tool","arguments":{"p":{"and":[]}}}],"limits":{"calls":1}}`)
	f.Add("/apply", `{"document":{"servers":[{"id":"s","env":{"A":{"env":"B"}}}],"model":{"types":{"a":null}}}}`)
	f.Add("/relations:write", `{"write":[{"object":"a"}]}`)
	f.Add("/contexts:open", `{"type":"\u0000","attributes":{"":""}}`)
	h := face(f, &spine{})
	f.Fuzz(func(t *testing.T, path, body string) {
		known := false
		for _, r := range h.Routes() {
			known = known || r.Pattern == "POST /api/v1"+path
		}
		if !known {
			return
		}
		if w := call(h, "POST", "/api/v1"+path, body); w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
