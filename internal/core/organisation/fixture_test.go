package organisation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const tenant principal.UID = "ten_00000000000000000000000001"

// counter is entropy that makes the uids of a test distinct and repeatable.
type counter struct{ n uint64 }

func (c *counter) Read(b []byte) (int, error) {
	c.n++
	copy(b, fmt.Sprintf("%010d", c.n))
	return len(b), nil
}

func minter() principal.Minter {
	return principal.Minter{Now: func() time.Time { return noon }, Entropy: &counter{}}
}

func item(server string, arguments map[string]string, actions ...string) authority.Item {
	it := authority.Item{Server: server, Actions: actions, Arguments: map[string]authority.Constraint{}}
	for name, v := range arguments {
		c := authority.Constraint{Any: true}
		if v != "" {
			value := authority.StringValue(v)
			c = authority.Constraint{Exact: &value}
		}
		it.Arguments[name] = c
	}
	return it
}

// any are arguments that are named and free.
func free(names ...string) map[string]string {
	m := map[string]string{}
	for _, n := range names {
		m[n] = ""
	}
	return m
}

func definition(name, hints string) json.RawMessage {
	return json.RawMessage(`{"name":"` + name + `","description":"<` + name + `> & more","annotations":{` + hints + `}}`)
}

func showing() map[string][]json.RawMessage {
	return map[string][]json.RawMessage{
		"records": {definition("read_chart", `"readOnlyHint":true`), definition("read_labs", `"readOnlyHint":true`),
			definition("write_note", ``), definition("sign_note", ``), definition("delete_chart", `"destructiveHint":true`)},
		"accounts": {definition("freeze", ``)},
	}
}

const permits = `
@id("care") permit (principal, action in [Action::"records"], resource is patient)
  when { context.relations.contains("care_team") };
@id("care encounter") permit (principal is User, action in Action::"records", resource is encounter);
@id("screening") permit (principal in Blueprint::"screener", action == Action::"accounts.freeze", resource);
@id("office") permit (principal in Group::"staff", action in Action::"management", resource);
`

// hospital is the fixture of SEMANTICS section 12 as a document.
func hospital() Document {
	return Document{
		Groups:    []Group{{ID: "staff"}},
		Users:     []User{{ID: "clinician", Manager: "lead", Groups: []string{"staff"}}, {ID: "lead"}, {ID: "second"}},
		Workloads: []Workload{{ID: "feed", Owner: "lead"}},
		Blueprints: []Blueprint{
			{ID: "assistant", Owner: "lead", Purpose: "draft notes", Entitlement: "delegated",
				Ceiling:     authority.Set{item("records", free("patient"), "read_*"), item("records", free("encounter", "text"), "write_note")},
				Requestable: authority.Set{item("records", free("encounter"), "sign_note")}},
			{ID: "screener", Owner: "lead", Purpose: "freeze accounts", Entitlement: "own",
				Ceiling: authority.Set{item("accounts", free("account"), "freeze")}},
		},
		Agents: []Agent{{ID: "a1", Blueprint: "assistant"}, {ID: "s1", Blueprint: "screener", Owner: "second"}},
		Servers: []Server{
			{ID: "records", URL: "https://records.example/mcp", Headers: map[string]mapping.Secret{"Authorization": {FromFile: "/run/token", Prefix: "Bearer "}},
				Tools: map[string]Tool{"read_*": {Effect: mapping.Read, Resource: "patient:{args.patient}"},
					"write_note": {Resource: "encounter:{args.encounter}"}, "sign_note": {Resource: "encounter:{args.encounter}"},
					"*": {}},
				Contexts: map[string]Context{"encounter": {Frame: mapping.Frame{
					item("", map[string]string{"patient": "{context.patient}"}, "read_*"),
					{Actions: []string{"write_note", "sign_note"}, OtherArguments: authority.AnyOther,
						Arguments: item("", map[string]string{"encounter": "{context.id}"}).Arguments}}}}},
			{ID: "accounts", Stdio: []string{"accounts-server"}, Dir: "/srv"},
		},
		Model: &relation.Model{Types: map[string]map[string]relation.Rewrite{
			"user":    {},
			"group":   {"member": {Direct: []relation.Allowed{{Type: "user"}}}},
			"patient": {"care_team": {Direct: []relation.Allowed{{Type: "user"}, {Type: "group", Relation: "member"}}}}}},
		Tuples:   []relation.Tuple{{Object: "patient:P1", Relation: "care_team", Subject: "user:clinician"}, {Object: "patient:P2", Relation: "care_team", Subject: "user:clinician"}},
		Policies: []Source{{Name: "access.cedar", Text: permits}},
		Tests: []Test{
			{Can: []string{"agent:a1", "records.read_chart", "patient:P1"}, For: "user:clinician", Context: map[string]string{"encounter": "E1", "patient": "P1"}, Expect: "allow"},
			{Can: []string{"agent:a1", "records.read_chart", "patient:P2"}, For: "user:clinician", Context: map[string]string{"encounter": "E1", "patient": "P1"}, Expect: "deny", Link: "agent:a1", Stage: "ceiling"},
			{Can: []string{"agent:a1", "records.read_chart", "patient:P3"}, For: "user:clinician", Expect: "deny", Link: "user:clinician", Stage: "entitlement"},
			{Can: []string{"agent:a1", "records.sign_note"}, Args: json.RawMessage(`{"encounter":"E1"}`), For: "user:clinician", Expect: "challenge", Link: "agent:a1", Stage: "ceiling"},
			{Can: []string{"agent:a1", "records.delete_chart"}, For: "user:clinician", Expect: "deny"},
			{Can: []string{"agent:s1", "accounts.freeze"}, Args: json.RawMessage(`{"account":"A7"}`), For: "user:second", Expect: "allow"},
			{Can: []string{"agent:s1", "accounts.freeze"}, Args: json.RawMessage(`{"account":"A7"}`), For: "user:lead", Expect: "deny", Link: "user:lead", Stage: "entitlement"},
		},
	}
}

// org is a tenant that documents are applied to.
type org struct {
	t    testing.TB
	snap *decision.Snapshot
	mint principal.Minter
	by   principal.UID
	now  time.Time
}

func found(t testing.TB) *org {
	t.Helper()
	s, err := decision.Empty(tenant)
	if err != nil {
		t.Fatal(err)
	}
	return &org{t, s, minter(), "usr_00000000000000000000000001", noon}
}

func (o *org) plan(d Document, shown map[string][]json.RawMessage) (Plan, error) {
	o.now = o.now.Add(time.Second)
	return NewPlan(o.snap, d, shown, o.by, o.now, o.mint)
}

// apply plans, runs the tests and makes the next snapshot.
func (o *org) apply(d Document, shown map[string][]json.RawMessage) Plan {
	o.t.Helper()
	pl, err := o.plan(d, shown)
	if err != nil {
		o.t.Fatal(err)
	}
	next, err := o.snap.Apply(o.snap.Revision+1, pl.Rows)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, r := range RunTests(next, d, o.now) {
		if !r.Passed {
			o.t.Error(r)
		}
	}
	o.snap = next
	return pl
}

// lines renders a plan.
func lines(pl Plan) string {
	var b strings.Builder
	for _, l := range pl.Changes {
		b.WriteString(l.String() + "\n")
	}
	return b.String()
}

// clone is a copy of d that shares nothing, by way of its JSON.
func clone(t testing.TB, d Document) Document {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(c); !bytes.Equal(b, again) {
		t.Fatalf("a document changes on the wire:\n%s\n%s", b, again)
	}
	return c
}

// publicKey makes a public JWK.
func publicKey(t testing.TB) json.RawMessage {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return proof.PublicJWK(&key.PublicKey)
}
