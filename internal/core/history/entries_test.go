package history_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// A change belongs to a mission's story when it took something from it while it
// ran, and only then. want is the sentence it becomes.
func TestChangesThatTouchAMission(t *testing.T) {
	for name, c := range map[string]struct {
		row  func(*book, delegation.Hop) ledger.Row
		want string
	}{
		"its context closed":      {func(b *book, _ delegation.Hop) ledger.Row { return b.context(false) }, "encounter E1 was closed, by lead"},
		"its context, still open": {func(b *book, _ delegation.Hop) ledger.Row { return b.context(true) }, ""},
		"another context": {func(b *book, _ delegation.Hop) ledger.Row {
			return row("context", b.uid(principal.Context, ""), directory.Context{})
		}, ""},
		"its origin disabled": {func(b *book, _ delegation.Hop) ledger.Row {
			return row("user", b.clinician, directory.User{State: directory.Disabled})
		}, "user clinician was disabled, by lead"},
		"its origin renamed": {func(b *book, _ delegation.Hop) ledger.Row {
			return row("user", b.clinician, directory.User{State: directory.Active})
		}, ""},
		"its origin removed": {func(b *book, _ delegation.Hop) ledger.Row {
			return ledger.Row{Kind: "user", Key: string(b.clinician)}
		}, "user clinician was removed, by lead"},
		"its agent revoked": {func(b *book, _ delegation.Hop) ledger.Row {
			return row("agent", b.assistant, directory.Agent{State: directory.Revoked})
		}, "agent assistant was revoked, by lead"},
		"its blueprint quarantined": {func(b *book, h delegation.Hop) ledger.Row {
			r := row("blueprint", h.Blueprint, directory.Blueprint{State: directory.Quarantined})
			r.Handle = "reader"
			return r
		}, "blueprint reader was quarantined, by lead"},
		"its server revoked": {func(b *book, _ delegation.Hop) ledger.Row {
			return row("server", b.records, mapping.Server{Revoked: true})
		}, "server records was revoked, by lead"},
		"a server it never used revoked": {func(b *book, _ delegation.Hop) ledger.Row {
			return row("server", b.notes, mapping.Server{Revoked: true})
		}, ""},
		"a tool it used revoked": {func(b *book, _ delegation.Hop) ledger.Row {
			r := row("tool", b.uid(principal.Tool, ""), mapping.Tool{Server: b.records, Name: "read", Revoked: true})
			r.Handle = string(b.records) + "/read"
			return r
		}, "tool records.read was revoked, by lead"},
		"a tool it never used revoked": {func(b *book, _ delegation.Hop) ledger.Row {
			r := row("tool", b.uid(principal.Tool, ""), mapping.Tool{Revoked: true})
			r.Handle = string(b.records) + "/delete"
			return r
		}, ""},
		"its hop narrowed": {func(b *book, h delegation.Hop) ledger.Row {
			h.Effective = nil
			return row("hop", h.ID, h)
		}, "assistant was narrowed to nothing, by lead"},
		"another mission's hop narrowed": {func(b *book, h delegation.Hop) ledger.Row {
			h.ID, h.Mission = b.uid(principal.Hop, ""), b.uid(principal.Mission, "")
			return row("hop", h.ID, h)
		}, ""},
		"a relation of its resource removed": {func(b *book, _ delegation.Hop) ledger.Row {
			return ledger.Row{Kind: "tuple", Key: "patient:P1#team@group:grp_x#member"}
		}, "relation patient:P1#team@group:grp_x#member was removed, by lead"},
		"a relation of its origin written": {func(b *book, _ delegation.Hop) ledger.Row {
			return ledger.Row{Kind: "tuple", Key: "patient:P1#team@user:" + string(b.clinician), Body: json.RawMessage(`{}`)}
		}, ""},
		"a relation of somebody else removed": {func(b *book, _ delegation.Hop) ledger.Row {
			return ledger.Row{Kind: "tuple", Key: "patient:P10#team@user:" + string(b.lead)}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.organise()
			root := b.start("look after P1")
			b.call(root, b.records, "read", "patient:P1", map[string]string{"patient": "P1"}, "", "")
			before := len(b.log.Records)
			b.change(b.lead, "any.change", "two lines", c.row(b, root), ledger.Row{Kind: "policy", Key: "pol_x"})
			b.change(b.lead, "any.change", "the same again", c.row(b, root))
			b.seal()
			tree, err := history.Tell(t.Context(), b.log, b.log.Tenant, b.mission.ID)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			walk(tree.Root, func(n *history.Node) {
				if n.Kind == history.Change && n.Entries[0].Index == int64(before) {
					said = n.Text
				}
			})
			if said != c.want {
				t.Errorf("told as %q, want %q", said, c.want)
			}
		})
	}
}

// The replay once told of a relation that was removed and not that it was written
// again, so that the calls that followed were allowed for no reason.
func TestARelationGivenBackIsTold(t *testing.T) {
	b := newBook(t)
	b.organise()
	root := b.start("look after P1")
	b.call(root, b.records, "read", "patient:P1", map[string]string{"patient": "P1"}, "", "")
	key := "patient:P1#team@user:" + string(b.clinician)
	written := ledger.Row{Kind: "tuple", Key: key, Body: json.RawMessage(`{}`)}
	b.change(b.lead, "relation.write", "written before it was ever removed", written)
	b.change(b.lead, "relation.write", "removed", ledger.Row{Kind: "tuple", Key: key})
	b.change(b.lead, "relation.write", "written again", written)
	b.change(b.lead, "relation.write", "written once more", written)
	b.seal()
	tree, err := history.Tell(t.Context(), b.log, b.log.Tenant, b.mission.ID)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	walk(tree.Root, func(n *history.Node) {
		if n.Kind == history.Change {
			said = append(said, n.Text)
		}
	})
	if want := []string{"removed, by lead", "written again, by lead"}; !slices.Equal(said, want) {
		t.Errorf("told as %q, want %q", said, want)
	}
}

// What happens after a mission is over is not of it.
func TestChangesAfterAMissionAreNotOfIt(t *testing.T) {
	b := newBook(t)
	b.organise()
	b.start("be brief")
	b.at = b.at.Add(8 * time.Hour)
	b.change(b.lead, "context.close", "encounter E1 was closed", b.context(false))
	b.seal()
	if entries := b.stored(); len(entries) != 1 {
		t.Errorf("%d entries, want the mission's one", len(entries))
	}
}

// FuzzStory: whatever a payload holds, and whatever entry it belongs to, the
// story is told in lines that print, or refused.
func FuzzStory(f *testing.F) {
	f.Add("decision", "allow", []byte(`{"serverName":"r","resource":"a:b","arguments":{"x":[1]},"effect":"read"}`))
	f.Add("decision", "deny", []byte(`{"binding":{"link":1,"stage":"ceiling","principal":"x","reason":"\u001b"}}`))
	f.Add("outcome", "", []byte(`{"status":"ok","bytes":-1}`))
	f.Add("issue", "allow", []byte(`{"kind":"child","hop":{"id":"hop_1","mission":"msn_1","parent":"hop_1","limits":{"rate":{"n":1,"per":2}}}}`))
	f.Add("change", "", []byte(`{"rows":[{"kind":"hop","key":"hop_1","body":{"mission":"msn_1"}},{"kind":"tuple","key":"#@"}],"summary":["\n"]}`))
	f.Fuzz(func(t *testing.T, kind, decision string, payload []byte) {
		leaf := proof.Leaf{ID: "ent_1", Kind: kind, Decision: decision, Mission: "msn_1", Hop: "hop_1", Rows: "digest", Parent: "ent_0"}
		first := leaf
		first.ID, first.Kind, first.Decision, first.Parent = "ent_0", "decision", "allow", ""
		tree, err := history.Story([]ledger.Stored{{Leaf: first, Payload: payload}, {Leaf: leaf, Payload: payload}})
		if err != nil {
			return
		}
		walk(tree.Root, func(n *history.Node) {
			if strings.ContainsFunc(n.Text+n.Given+n.Why, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("node %+v does not print", n)
			}
		})
	})
}
