package history_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/ledger/ledgertest"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

const issuer = "https://ambit.example"

// A book writes a ledger as the spine does: one day in the life of E1.
type book struct {
	t       testing.TB
	log     *ledgertest.Log
	at      time.Time
	made    byte
	key     map[principal.UID]*ecdsa.PrivateKey
	names   map[principal.UID]string
	hops    map[principal.UID]delegation.Hop
	mission delegation.Mission

	clinician, lead, assistant, summarizer principal.UID
	records, notes, encounter              principal.UID
}

func newBook(t testing.TB) *book {
	b := &book{t: t, at: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), names: map[principal.UID]string{},
		key: map[principal.UID]*ecdsa.PrivateKey{}, hops: map[principal.UID]delegation.Hop{}}
	b.log = ledgertest.New(b.uid(principal.Tenant, ""))
	b.clinician, b.lead = b.uid(principal.User, "clinician"), b.uid(principal.User, "lead")
	b.assistant, b.summarizer = b.uid(principal.Agent, "assistant"), b.uid(principal.Agent, "")
	b.records, b.notes = b.uid(principal.Server, "records"), b.uid(principal.Server, "notes")
	b.encounter = b.uid(principal.Context, "")
	for _, who := range []principal.UID{b.clinician, b.assistant, b.summarizer} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b.key[who] = key
	}
	return b
}

// uid makes the next uid and names it.
func (b *book) uid(p principal.Prefix, name string) principal.UID {
	b.made++
	id := principal.Make(p, b.at, [10]byte{9: b.made, 8: byte(len(b.names))})
	if name != "" {
		b.names[id] = name
	}
	return id
}

func (b *book) jkt(who principal.UID) string {
	return proof.Hash(proof.PublicJWK(&b.key[who].PublicKey))
}

func (b *book) enrolled(who principal.UID) []directory.Key {
	return []directory.Key{{JKT: b.jkt(who), JWK: proof.PublicJWK(&b.key[who].PublicKey), Enrolled: b.at, Evidence: "declared by " + string(b.lead), By: b.lead}}
}

func encode(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func row(kind string, key principal.UID, v any) ledger.Row {
	return ledger.Row{Kind: kind, Key: string(key), Body: encode(v)}
}

// add commits an entry a second after the one before.
func (b *book) add(e ledger.Entry, payload map[string]any, rows ...ledger.Row) principal.UID {
	b.at = b.at.Add(time.Second)
	e.ID, e.Time, e.Salt = b.uid(principal.Entry, ""), b.at, [32]byte{b.made}
	if h, ok := b.hops[e.Hop]; ok {
		e.Actor, e.Origin, e.Mission, e.Delegation = h.Delegate, b.mission.Origin, h.Mission, h.Commitment
		e.Run = principal.UID("run_" + string(h.ID)[4:])
		payload["names"] = map[principal.UID]string{b.mission.Origin: b.names[b.mission.Origin], h.Delegate: b.names[h.Delegate]}
	}
	if rows != nil {
		payload["rows"] = rows
	}
	e.Payload = encode(payload)
	b.log.Append(e, ledger.RowsDigest(rows))
	return e.ID
}

// change records a management change of no mission.
func (b *book) change(by principal.UID, mutation, line string, rows ...ledger.Row) {
	b.add(ledger.Entry{Kind: ledger.Change, Actor: by, Origin: by, Action: mutation, Decision: "allow"},
		map[string]any{"mutation": mutation, "summary": []string{line}, "names": map[principal.UID]string{by: b.names[by]}}, rows...)
}

// organise enrols everybody.
func (b *book) organise() {
	b.change(b.lead, "organisation.apply", "6 objects",
		row("user", b.clinician, directory.User{ID: b.clinician, Handle: "clinician", Keys: b.enrolled(b.clinician), State: directory.Active}),
		row("agent", b.assistant, directory.Agent{ID: b.assistant, Handle: "assistant", Owner: b.lead, Keys: b.enrolled(b.assistant), State: directory.Active}))
}

func only(arg, value string) map[string]authority.Constraint {
	return map[string]authority.Constraint{arg: {Exact: &authority.Value{Raw: encode(value)}}}
}

func item(server principal.UID, action, arg, value string) authority.Item {
	return authority.Item{Type: authority.MCPTool, Server: string(server), Actions: []string{action},
		Arguments: only(arg, value), OtherArguments: "any"}
}

// hop signs a hop and returns it as the server would record it.
func (b *book) hop(parent delegation.Hop, from, to principal.UID, lasts time.Duration, a authority.Set, l authority.Limits) delegation.Hop {
	h := delegation.Hop{ID: b.uid(principal.Hop, ""), Mission: b.mission.ID, Parent: parent.ID, Delegator: from, Delegate: to,
		Blueprint: b.uid(principal.Blueprint, ""), Authority: a, Effective: a, Limits: l, Made: b.at, Expiry: b.at.Add(lasts),
		Depth: parent.Depth + 1, JKT: b.jkt(to), State: delegation.Active}
	st := proof.Statement{Issuer: string(from), Subject: string(to), Audience: issuer, ID: string(h.ID), IssuedAt: b.at.Unix(),
		Expiry: h.Expiry.Unix(), Mission: string(b.mission.ID), Blueprint: string(h.Blueprint), Authority: a, Limits: l,
		Depth: h.Depth, Confirm: proof.Confirm{JKT: h.JKT}, Parent: parent.Commitment,
		Nonce: base64.RawURLEncoding.EncodeToString([]byte(h.ID)[:16])}
	if parent.ID == "" {
		st.Intent, st.Rooted, st.Context = b.mission.Intent, "user", string(b.mission.Context)
	}
	compact, err := proof.SignStatement(st, b.key[from])
	if err != nil {
		b.t.Fatal(err)
	}
	h.Statement, h.Commitment = compact, proof.Commitment(compact)
	b.hops[h.ID] = h
	return h
}

// start signs and records a mission, for eight hours and 40 calls.
func (b *book) start(intent string) delegation.Hop {
	calls := int64(40)
	b.mission = delegation.Mission{ID: b.uid(principal.Mission, ""), Origin: b.clinician, Rooted: delegation.UserRooted, Intent: intent,
		Context: b.encounter, State: delegation.Active, Started: b.at}
	h := b.hop(delegation.Hop{}, b.clinician, b.assistant, 8*time.Hour,
		authority.Set{item(b.records, "read", "patient", "P1"), item(b.notes, "write", "encounter", "E1")}, authority.Limits{Calls: &calls})
	b.mission.Root = h.ID
	b.add(ledger.Entry{Kind: ledger.Change, Actor: b.clinician, Origin: b.clinician, Mission: b.mission.ID, Action: "mission.create", Decision: "allow"},
		map[string]any{"mutation": "mission.create", "names": b.names}, row("mission", b.mission.ID, b.mission), row("hop", h.ID, h))
	return h
}

func (b *book) issue(h delegation.Hop, kind, server string, rows ...ledger.Row) {
	p := map[string]any{"kind": kind, "outcome": "allow", "token": map[string]any{"aud": issuer + "/mcp/" + server}}
	if kind == "child" {
		p["hop"] = h
	}
	b.add(ledger.Entry{Kind: ledger.Issue, Hop: h.ID, Action: "token.issue", Decision: "allow"}, p, rows...)
}

// spawn records a child hop with its new agent.
func (b *book) spawn(parent delegation.Hop) delegation.Hop {
	b.names[b.summarizer] = "summarizer (sub-agent)"
	h := b.hop(parent, parent.Delegate, b.summarizer, 10*time.Minute, authority.Set{item(b.records, "read", "patient", "P1")}, authority.Limits{})
	b.issue(h, "child", "records", row("hop", h.ID, h),
		row("agent", b.summarizer, directory.Agent{ID: b.summarizer, Keys: b.enrolled(b.summarizer), Parent: parent.Delegate, State: directory.Active}))
	return h
}

// call records a decision on a call; why is "" when it is allowed.
func (b *book) call(h delegation.Hop, server principal.UID, action, resource string, args map[string]string, stage, why string) principal.UID {
	e := ledger.Entry{Kind: ledger.Decision, Hop: h.ID, Server: server, Action: action, Decision: "allow"}
	p := map[string]any{"type": "mcp_tool", "server": server, "serverName": b.names[server], "action": action,
		"resource": resource, "arguments": args, "effect": action, "outcome": "allow"}
	if why != "" {
		e.Decision, e.Binding = "deny", "link 1 "+stage
		p["outcome"], p["binding"] = "deny", map[string]any{"link": h.Depth, "stage": stage, "principal": h.Delegate, "reason": why}
	}
	return b.add(e, p)
}

func (b *book) outcome(h delegation.Hop, decision principal.UID, action, status string, bytes int) {
	b.add(ledger.Entry{Kind: ledger.Outcome, Hop: h.ID, Parent: decision, Action: action},
		map[string]any{"status": status, "bytes": bytes, "us": 1200})
}

func (b *book) list(h delegation.Hop, server principal.UID, tools ...string) {
	b.add(ledger.Entry{Kind: ledger.List, Hop: h.ID, Server: server, Action: "tools/list", Decision: "allow"},
		map[string]any{"serverName": b.names[server], "outcome": "allow", "listed": tools})
}

func (b *book) check(h delegation.Hop, server principal.UID, method string) {
	b.add(ledger.Entry{Kind: ledger.Check, Hop: h.ID, Server: server, Action: method, Decision: "allow"},
		map[string]any{"serverName": b.names[server], "outcome": "allow"})
}

func (b *book) context(open bool) ledger.Row {
	return row("context", b.encounter, directory.Context{ID: b.encounter, Type: "encounter", Handle: "E1", Open: open})
}

// discharge is the day of EXPERIENCE's demo, with what can go wrong added.
func discharge(t testing.TB) *book {
	b := newBook(t)
	p1 := func(kind string) map[string]string { return map[string]string{"patient": "P1", "kind": kind} }
	b.organise()
	b.change(b.lead, "context.open", "encounter E1 was opened", b.context(true))
	root := b.start("draft the discharge note for encounter E1")
	b.issue(root, "root", "records")
	b.check(root, b.records, "initialize")
	b.list(root, b.records, "read")
	b.outcome(root, b.call(root, b.records, "read", "patient:P1", p1("labs"), "", ""), "read", "ok", 3120)
	b.call(root, b.records, "read", "patient:P2", map[string]string{"patient": "P2", "kind": "labs"}, "ceiling", "the mission covers P1 only")
	sub := b.spawn(root)
	vitals := b.call(sub, b.records, "read", "patient:P1", p1("vitals"), "", "")
	b.issue(root, "renewal", "notes") // while the sub-agent's call is under way
	b.outcome(sub, vitals, "read", "ok", 812)
	b.call(sub, b.notes, "write", "encounter:E1", map[string]string{"encounter": "E1", "text": "stable"}, "ceiling", "write was not delegated")
	b.check(root, b.records, "ping")
	write := map[string]string{"encounter": "E1", "text": "Discharged in good health, follow-up in two weeks at the outpatient clinic"}
	b.outcome(root, b.call(root, b.notes, "write", "encounter:E1", write, "", ""), "write", "lost", 0)
	b.call(root, b.records, "read", "patient:P1", p1("notes"), "", "") // its outcome never came
	b.outcome(root, b.call(root, b.records, "read", "patient:P1", p1("scans"), "", ""), "read", "error", 87)
	b.change(b.lead, "relation.write", "relation patient:P9#care_team@user:second was removed",
		ledger.Row{Kind: "tuple", Key: "patient:P9#care_team@user:" + string(b.uid(principal.User, ""))})
	b.change(b.lead, "relation.write", "relation patient:P1#care_team@user:clinician was removed",
		ledger.Row{Kind: "tuple", Key: "patient:P1#care_team@user:" + string(b.clinician)})
	b.change(b.lead, "context.close", "encounter E1 was closed", b.context(false))
	b.change(b.lead, "context.open", "encounter E1 was opened", b.context(false)) // gives its handle up
	b.call(sub, b.records, "read", "patient:P1", p1("labs"), "mandate", "encounter E1 is closed")
	b.mission.State, b.mission.Ended = delegation.Done, b.at
	b.add(ledger.Entry{Kind: ledger.Change, Actor: b.clinician, Origin: b.clinician, Mission: b.mission.ID, Action: "mission.end", Decision: "allow"},
		map[string]any{"mutation": "mission.end", "names": b.names}, row("mission", b.mission.ID, b.mission))
	b.change(b.lead, "organisation.apply", "1 object", row("user", b.clinician, directory.User{ID: b.clinician, State: directory.Disabled}))
	return b
}

// stored returns the entries of the mission as a story is told from.
func (b *book) stored() []ledger.Stored {
	entries, err := entriesOf(b)
	if err != nil {
		b.t.Fatal(err)
	}
	return entries
}

// seal sequences everything and signs a checkpoint; it returns the log's key.
func (b *book) seal() string {
	if err := b.log.Seal(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	_, key := ledgertest.Keys()
	return key
}
