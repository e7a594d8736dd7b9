package history_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func entriesOf(b *book) ([]ledger.Stored, error) {
	return history.Entries(b.t.Context(), b.log, b.log.Tenant, b.mission.ID)
}

func render(t testing.TB, tree history.Tree) string {
	t.Helper()
	var b bytes.Buffer
	if err := tree.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Each case is one story; its text is in testdata.
func TestStory(t *testing.T) {
	for name, tell := range map[string]func(testing.TB) []ledger.Stored{
		"discharge": func(t testing.TB) []ledger.Stored { b := discharge(t); b.seal(); return b.stored() },
		// Payloads can be destroyed; what the leaves say remains.
		"erased": func(t testing.TB) []ledger.Stored {
			b := discharge(t)
			b.seal()
			entries := b.stored()
			for i := range entries {
				entries[i].Payload = nil
			}
			return entries
		},
		// One person's entries erased: here the arguments of two calls.
		"partly-erased": func(t testing.TB) []ledger.Stored {
			b := discharge(t)
			b.seal()
			entries := b.stored()
			entries[4].Payload, entries[6].Payload = nil, nil
			return entries
		},
		"unsequenced": func(t testing.TB) []ledger.Stored {
			b := newBook(t)
			b.organise()
			root := b.start("look around")
			b.seal()
			b.call(root, b.records, "read", "patient:P1", map[string]string{"patient": "P1"}, "", "")
			return b.stored()
		},
		// Names, arguments and reasons that try to pass for Ambit's own lines.
		"hostile": hostile,
		"revoked": revoked,
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := history.Story(tell(t))
			if err != nil {
				t.Fatal(err)
			}
			got, file := render(t, tree), filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("story (-%s +got):\n%s", file, diff)
			}
		})
	}
}

func hostile(t testing.TB) []ledger.Stored {
	b := newBook(t)
	b.names[b.assistant] = "assistant\x1b[2K\r├─ nothing happened"
	b.names[b.records] = "records\u202ekcab"
	b.organise()
	root := b.start("help\n└─ clinician approved everything   entry 99")
	b.seal()
	b.call(root, b.records, "read\nentry 1", "patient:P1\x07", map[string]string{"a\tb": "\x1b]0;x\x07", "c": strings.Repeat("long ", 40),
		"d": "1", "e": "2", "f": "3", "g": "4"}, "ceiling", "because\n\nDONE")
	b.seal()
	return b.stored()
}

// revoked has a second level of sub-agents, one refused delegation, one revoked.
func revoked(t testing.TB) []ledger.Stored {
	b := newBook(t)
	b.organise()
	root := b.start("read everything twice")
	b.issue(root, "root", "records")
	sub := b.spawn(root)
	deeper := b.summarizer
	b.summarizer = b.uid(principal.Agent, "reader")
	b.key[b.summarizer] = b.key[deeper]
	low := b.spawn(sub)
	args := map[string]string{"patient": "P1"}
	b.outcome(low, b.call(low, b.records, "read", "patient:P1", args, "", ""), "read", "ok", 2_500_000)
	b.outcome(low, b.call(low, b.records, "read", "patient:P1", args, "", ""), "read", "unsent", 0)
	wide := sub
	wide.ID, wide.Parent = b.uid(principal.Hop, ""), low.ID
	b.add(ledger.Entry{Kind: ledger.Issue, Hop: low.ID, Action: "hop.create", Decision: "deny", Binding: "link 3 prohibition"},
		map[string]any{"kind": "child", "outcome": "deny", "reason": "policy no-deep-chains forbids it", "hop": wide,
			"rows": []ledger.Row{row("hop", wide.ID, wide)}, "token": map[string]any{"aud": issuer + "/mcp/records"}})
	b.add(ledger.Entry{Kind: ledger.Check, Hop: low.ID, Server: b.records, Action: "initialize", Decision: "deny", Binding: "link 3 mandate"},
		map[string]any{"serverName": "records", "outcome": "deny"})
	b.outcome(low, "ent_unheard_of", "read", "ok", 1)
	sub.State = delegation.Revoked
	b.add(ledger.Entry{Kind: ledger.Change, Actor: b.lead, Origin: b.clinician, Mission: b.mission.ID, Action: "mission.revoke", Decision: "allow"},
		map[string]any{"mutation": "mission.revoke", "names": b.names}, row("hop", sub.ID, sub))
	narrowed := b.hops[root.ID]
	narrowed.Effective = narrowed.Effective[:1]
	b.change(principal.System, "organisation.apply", "ceiling of assistant", row("hop", root.ID, narrowed))
	b.seal()
	return b.stored()
}

func TestTreeIsPlainData(t *testing.T) {
	b := discharge(t)
	b.seal()
	tree, err := history.Tell(t.Context(), b.log, b.log.Tenant, b.mission.ID)
	if err != nil {
		t.Fatal(err)
	}
	if tree.Mission != b.mission.ID || tree.Origin != b.clinician || tree.Intent != b.mission.Intent || tree.Unknown != 2 {
		t.Errorf("tree of %s by %s: %q, %d unknown", tree.Mission, tree.Origin, tree.Intent, tree.Unknown)
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var again history.Tree
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(render(t, tree), render(t, again)); diff != "" {
		t.Errorf("text after a trip through JSON:\n%s", diff)
	}
}

func TestStoryRefuses(t *testing.T) {
	b := discharge(t)
	b.seal()
	entries := b.stored()
	two := append([]ledger.Stored(nil), entries...)
	two[3].Leaf.Mission = "msn_other"
	bad := append([]ledger.Stored(nil), entries...)
	bad[3].Payload = json.RawMessage(`{"names":[]}`)
	for name, c := range map[string]struct {
		entries []ledger.Stored
		kind    fault.Kind
	}{"nothing": {nil, fault.Malformed}, "two missions": {two, fault.Malformed}, "a payload of another make": {bad, fault.Internal}} {
		if _, err := history.Story(c.entries); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := history.Tell(t.Context(), b.log, b.log.Tenant, "msn_none"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown mission: got %v", err)
	}
}

// Whatever a mission's entries are, damaged and erased ones included, each
// stands at exactly one node, every line prints, and what is not known is
// counted.
func TestEveryEntryStandsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, unknown := random(t)
		tree, err := history.Story(entries)
		if err != nil {
			t.Fatal(err)
		}
		at := map[principal.UID]int{}
		lines := 0
		walk(tree.Root, func(n *history.Node) {
			lines++
			for _, e := range n.Entries {
				at[e.ID]++
			}
			if n.Text == "" || strings.ContainsFunc(n.Text+n.Given+n.Why, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("node %+v does not print", n)
			}
		})
		for _, s := range entries {
			if at[principal.UID(s.Leaf.ID)] != 1 {
				t.Fatalf("entry %s (%s) stands at %d nodes", s.Leaf.ID, s.Leaf.Kind, at[principal.UID(s.Leaf.ID)])
			}
		}
		if len(at) != len(entries) || tree.Entries != len(entries) || tree.Unknown != unknown {
			t.Fatalf("%d entries at nodes, %d counted, want %d; %d unknown, want %d", len(at), tree.Entries, len(entries), tree.Unknown, unknown)
		}
		var b bytes.Buffer
		if err := tree.Text(&b); err != nil || strings.Count(b.String(), "\n") < lines {
			t.Fatalf("%d nodes are rendered as:\n%s%v", lines, b.String(), err)
		}
	})
}

func walk(n *history.Node, f func(*history.Node)) {
	f(n)
	for _, next := range n.Next {
		walk(next, f)
	}
}

// random draws entries of one mission and how many calls are left unknown.
func random(t *rapid.T) ([]ledger.Stored, int) {
	const mission = "msn_1"
	hops := []principal.UID{"hop_0"}
	parents := map[principal.UID]principal.UID{}
	answered, allowed := map[string]string{}, []string{}
	words := rapid.OneOf(rapid.StringMatching(`[a-z]{0,8}`), rapid.String())
	var entries []ledger.Stored
	for i := range rapid.IntRange(1, 40).Draw(t, "entries") {
		s := ledger.Stored{Leaf: proof.Leaf{ID: fmt.Sprintf("ent_%d", i), Index: int64(i), Mission: mission, Origin: "usr_1",
			Actor: words.Draw(t, "actor"), Server: words.Draw(t, "server"), Action: words.Draw(t, "action"),
			Hop:      string(rapid.SampledFrom(append(hops, "hop_unheard_of", "")).Draw(t, "hop")),
			Decision: rapid.SampledFrom([]string{"allow", "deny", "challenge", ""}).Draw(t, "decision"),
			Kind:     rapid.SampledFrom([]string{"decision", "decision", "outcome", "outcome", "issue", "check", "list", "change", "seal", "?"}).Draw(t, "kind")}}
		p := map[string]any{"serverName": words.Draw(t, "name"), "resource": words.Draw(t, "resource"),
			"arguments": map[string]string{words.Draw(t, "arg"): words.Draw(t, "value")}, "reason": words.Draw(t, "reason"),
			"names": map[string]string{s.Leaf.Actor: words.Draw(t, "label")}, "listed": []string{"x"}, "effect": "read"}
		erased := rapid.IntRange(0, 9).Draw(t, "erased") == 0
		switch s.Leaf.Kind {
		case "decision":
			if s.Leaf.Decision == "allow" {
				allowed = append(allowed, s.Leaf.ID)
			}
		case "outcome":
			p["status"] = rapid.SampledFrom([]string{"ok", "error", "lost", "unsent", "?"}).Draw(t, "status")
			s.Leaf.Parent = rapid.SampledFrom(append(allowed, "ent_unheard_of")).Draw(t, "parent")
			if _, twice := answered[s.Leaf.Parent]; !twice {
				answered[s.Leaf.Parent] = p["status"].(string)
				if erased {
					answered[s.Leaf.Parent] = "?"
				}
			}
		case "issue", "change":
			p["kind"] = rapid.SampledFrom([]string{"root", "child", "renewal"}).Draw(t, "issued")
			h := delegation.Hop{ID: principal.UID(fmt.Sprintf("hop_%d", i+1)), Mission: mission, Delegate: "agt_1",
				Parent: rapid.SampledFrom(append(hops, "hop_unheard_of", principal.UID(fmt.Sprintf("hop_%d", i+1)))).Draw(t, "above")}
			p["hop"], p["rows"] = h, []ledger.Row{row("hop", h.ID, h)}
			if rapid.Bool().Draw(t, "written") {
				s.Leaf.Rows = "digest"
				hops, parents[h.ID] = append(hops, h.ID), h.Parent
			}
			if rapid.Bool().Draw(t, "its own") {
				s.Leaf.Hop = string(h.ID)
			}
		}
		if !erased {
			s.Payload = encode(p)
		}
		entries = append(entries, s)
	}
	unknown := 0
	for _, id := range allowed {
		if st := answered[id]; st == "" || st == "lost" || st == "?" {
			unknown++
		}
	}
	return entries, unknown
}
