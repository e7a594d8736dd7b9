package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/cli/orgfile"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Every command says what it is for and shows how it is used.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.Hidden && c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is %q", c.CommandPath(), c.Short)
		}
		if !c.HasSubCommands() && !c.Hidden && !strings.Contains(c.Example, "ambit "+strings.TrimPrefix(c.CommandPath(), "ambit ")) {
			t.Errorf("%s: no example uses it", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
}

func TestUsage(t *testing.T) {
	none := func(string) string { return "" }
	for line, want := range map[string]string{
		"toekn":                              "ambit: there is no command toekn; did you mean token?\n",
		"mission xyzzy":                      "ambit mission: there is no command xyzzy; there are end, show, start\n",
		"can assistant":                      "ambit can: ACTION is missing\n",
		"whoami now":                         "ambit whoami: now is one argument too many\n",
		"version -o xml":                     "ambit version: --output is table, json, yaml or jsonl, not \"xml\"\n",
		"version --wide":                     "ambit version: unknown flag: --wide\n",
		"token --server s":                   "ambit token: --key is missing\n",
		"mission show 7":                     "ambit mission show: 7 is not the uid of a mission, msn_…\n",
		"can a s.t --arg x":                  "ambit can: --arg takes name=text or name:=JSON, each name once; not x\n",
		"can a s.t --arg x:={":               "ambit can: --arg takes name=text or name:=JSON, each name once; not x:={\n",
		"mission start --agent a":            "ambit mission start: --intent is missing\n",
		"mission start --agent a --intent b": "ambit mission start: --for is missing: a mission ends, as in --for 4h\n",
		"mission start --agent a --intent b --for 1h --rate 20":  "ambit mission start: --rate takes calls/duration, as in 20/10m; not 20\n",
		"mission start --agent a --intent b --for 1h --arg x=1":  "ambit mission start: --arg needs the --tool that it is an argument of\n",
		"mission start --agent a --intent b --for 1h --tool x":   "ambit mission start: --tool takes server.tool, not x\n",
		"mission start --agent a --intent b --for 1h --calls -1": "ambit mission start: limits.calls: is negative\n",
	} {
		var out, errs bytes.Buffer
		if code := Main(strings.Fields(line), strings.NewReader(""), &out, &errs, none); code != exitUsage {
			t.Errorf("%s: exit code %d", line, code)
		}
		if !strings.HasPrefix(errs.String(), want) || !strings.Contains(errs.String(), "\nnext      ambit ") || out.Len() > 0 {
			t.Errorf("%s:\n%s%s", line, out.String(), errs.String())
		}
	}
	var out bytes.Buffer
	if code := Main(nil, strings.NewReader(""), &out, &out, none); code != exitOK || !strings.Contains(out.String(), "Available Commands") {
		t.Errorf("without arguments: %d %s", code, out.String())
	}
}

// A server may resolve names in what a person asked for; nothing else.
func TestAsked(t *testing.T) {
	three, four := int64(3), int64(4)
	set := func(text string) authority.Set {
		s, err := authority.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	me := self{ID: "usr_01jd3v7q8x9m2n4p6r8t0v2w4y", Issuer: "https://ambit.test"}
	q := missionRequest{Agent: "assistant", Intent: "read", For: 60, Limits: authority.Limits{Calls: &three}, Context: "ticket/T1",
		Authority: set(`[{"type":"mcp_tool","server":"notes","actions":["read"],"arguments":{"name":{"exact":"a"}}}]`)}
	now := time.Now().Unix()
	draft := func() proof.Statement {
		calls := int64(3)
		return proof.Statement{Issuer: string(me.ID), Audience: me.Issuer, Subject: "agt_01jd3v7q8x9m2n4p6r8t0v2w4y", Intent: "read",
			IssuedAt: now, Expiry: now + 60, Depth: 1, Limits: authority.Limits{Calls: &calls}, Context: "ctx_x",
			Authority: set(`[{"type":"mcp_tool","server":"srv_1","actions":["read"],"arguments":{"name":{"exact":"a"}}}]`)}
	}
	if err := asked(q, draft(), me); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*proof.Statement){
		"another signer":  func(s *proof.Statement) { s.Issuer = "usr_01jd3v7q8x9m2n4p6r8t0v2w5y" },
		"another server":  func(s *proof.Statement) { s.Audience = "https://elsewhere.test" },
		"another intent":  func(s *proof.Statement) { s.Intent += " everything" },
		"longer":          func(s *proof.Statement) { s.Expiry++ },
		"later":           func(s *proof.Statement) { s.IssuedAt += 3600; s.Expiry += 3600 },
		"a child":         func(s *proof.Statement) { s.Parent, s.Depth = "x", 2 },
		"more calls":      func(s *proof.Statement) { s.Limits.Calls = &four },
		"no limit":        func(s *proof.Statement) { s.Limits = authority.Limits{} },
		"asks":            func(s *proof.Statement) { s.OnLimit = "ask" },
		"no context":      func(s *proof.Statement) { s.Context = "" },
		"more items":      func(s *proof.Statement) { s.Authority = append(s.Authority, s.Authority[0]) },
		"another action":  func(s *proof.Statement) { s.Authority[0].Actions = []string{"read", "write"} },
		"other arguments": func(s *proof.Statement) { s.Authority[0].OtherArguments = authority.AnyOther },
		"another value": func(s *proof.Statement) {
			s.Authority[0].Arguments = map[string]authority.Constraint{"name": {Any: true}}
		},
		"no authority": func(s *proof.Statement) { s.Authority = nil },
	} {
		st := draft()
		change(&st)
		if err := asked(q, st, me); fault.KindOf(err) != fault.Upstream {
			t.Errorf("%s: %v", name, err)
		}
	}
	q.Agent = "agt_01jd3v7q8x9m2n4p6r8t0v2w5y"
	if err := asked(q, draft(), me); err == nil {
		t.Error("another agent than the one named by uid")
	}
}

func TestAuthorityFile(t *testing.T) {
	for text, want := range map[string]string{
		`[{server: notes, actions: [read], arguments: {name: a, n: 1, any: {any: true}, of: [a, b]}}]`: `read on notes where any is anything and n = 1 and name = a and of is one of a, b`,
		`[{"type":"mcp_tool","server":"notes","actions":["list"]}]`:                                    `list on notes, no arguments`,
		"- server: notes\n  actions: [read]\n  arguments:\n    name: {exakt: a}":                       `f:4:19: this is not a kind`,
		"- server: notes\n  actions: read":                                                             `f:2:12: this `,
		"- server: notes\n  actions: &a [read]":                                                        `f:2:12: anchors, aliases and tags are refused`,
		"- server: notes\n  actions: [read]\n  arguments: {n: 0x1F}":                                   `f:3:18: 0x1F is no plain value; quote it`,
		"server: notes": `f:1:1: the authority has to be a list of items`,
		"":              `f: the file says nothing`,
	} {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := readAuthority(name)
		got := set.String()
		if err != nil {
			got = strings.ReplaceAll(err.Error(), name, "f")
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func FuzzAuthority(f *testing.F) {
	f.Add("- {server: a, actions: [b], resource: x, arguments: {c: [1, 2.50, true, null]}}")
	f.Add("[[{}], null, {arguments: 1}]")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseYAML("f", []byte(text))
		if err != nil {
			return
		}
		raw, err := d.json(d.root)
		if err != nil {
			return
		}
		if wide, err := widen(raw); err == nil {
			if _, err := authority.Parse(wide); err != nil {
				if flaw, ok := err.(*authority.Error); ok {
					d.at(flaw.Path)
				}
			}
		}
	})
}

// What comes from outside cannot move a terminal.
func TestHarmless(t *testing.T) {
	var b bytes.Buffer
	(&app{stderr: &b}).say("%s", "a\x1b[2Kb\u202ec\rd\te é")
	if got, want := b.String(), "a\uFFFD[2Kb\uFFFDc\uFFFDd\uFFFDe é\n"; got != want {
		t.Errorf("%q", got)
	}
}

func TestFormats(t *testing.T) {
	v := []map[string]any{{"b": "1", "a": []int{1, 2}, "c": "a < b\n", "d": "no"}, {"e": nil}}
	for format, want := range map[string]string{
		"jsonl": "{\"a\":[1,2],\"b\":\"1\",\"c\":\"a < b\\n\",\"d\":\"no\"}\n{\"e\":null}\n",
		"yaml":  "- a:\n    - 1\n    - 2\n  b: \"1\"\n  c: |\n    a < b\n  d: \"no\"\n- e: null\n",
		"json":  "[\n  {\n    \"a\": [\n      1,\n      2\n    ],\n    \"b\": \"1\",\n    \"c\": \"a < b\\n\",\n    \"d\": \"no\"\n  },\n  {\n    \"e\": null\n  }\n]\n",
	} {
		var b bytes.Buffer
		if err := (&app{stdout: &b, output: format}).print(v, nil); err != nil || b.String() != want {
			t.Errorf("%s: %v\n%s", format, err, b.String())
		}
	}
}

func TestLocated(t *testing.T) {
	f := orgfile.File{Name: "org.yaml"}
	got := located(f, "2 of 3 tests fail; nothing was applied:\ntests[0]: x\nblueprints[0].ceiling[1].actions: y\nnothing else: z")
	want := "2 of 3 tests fail; nothing was applied:\norg.yaml: x\norg.yaml: y\nnothing else: z"
	if got != want {
		t.Error(got)
	}
}
