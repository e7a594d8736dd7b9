package organisation

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof/authority"
)

// TestProblems: each bad document is refused with the place and the reason.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  func(*Document)
		want string
	}{
		{"no id", func(d *Document) { d.Users[0].ID = "" }, "users[0]: needs an id"},
		{"typed id", func(d *Document) { d.Users[1].ID = "user:lead" }, "users[1].id: write lead"},
		{"uid as id", func(d *Document) { d.Users[2].ID = string(minter().New("usr")) }, "is a uid"},
		{"spaces", func(d *Document) { d.Users[2].ID = "a b" }, `users[2].id: "a b" cannot be an id`},
		{"twice", func(d *Document) { d.Users[2].ID = "lead" }, "users[2].id: user lead is declared twice, first in users[1]"},
		{"server with a dot", func(d *Document) { d.Servers[0].ID = "rec.ords" }, "cannot name a server"},
		{"server called effect", func(d *Document) { d.Servers[0].ID = "effect" }, "servers[0].id: effect cannot name a server"},
		{"unknown manager", func(d *Document) { d.Users[0].Manager = "leed" }, `users[0].manager: there is no user "leed" in this file; did you mean lead?`},
		{"own manager", func(d *Document) { d.Users[1].Manager = "clinician" }, "their own manager"},
		{"unknown group", func(d *Document) { d.Users[0].Groups = []string{"stuff"} }, `users[0].groups[0]: there is no group "stuff" in this file; did you mean staff?`},
		{"no owner", func(d *Document) { d.Blueprints[0].Owner = "" }, "blueprints[0].owner: blueprint assistant needs an owner"},
		{"an owner who is no user", func(d *Document) { d.Blueprints[0].Owner = "feed" }, `there is no user "feed"`},
		{"a typed owner", func(d *Document) { d.Workloads[0].Owner = "user:lead" }, "workloads[0].owner: write lead: the field says that it is a user"},
		{"a dead owner", func(d *Document) { d.Users[1].Disabled = true }, "blueprints[0].owner: blueprint assistant is owned by lead, who is disabled"},
		{"a dead owner by blueprint", func(d *Document) { d.Users[1].Disabled = true }, "agents[0]: agent a1 is owned by lead (of its blueprint)"},
		{"no purpose", func(d *Document) { d.Blueprints[0].Purpose = " " }, "needs a purpose"},
		{"entitlement", func(d *Document) { d.Blueprints[0].Entitlement = "" }, "is not an entitlement"},
		{"item without server", func(d *Document) { d.Blueprints[0].Ceiling[0].Server = "" }, "blueprints[0].ceiling[0]: needs a server"},
		{"item on unknown server", func(d *Document) { d.Blueprints[0].Ceiling[0].Server = "record" }, "did you mean records?"},
		{"item without actions", func(d *Document) { d.Blueprints[0].Ceiling[0].Actions = nil }, "needs actions"},
		{"item of unknown type", func(d *Document) { d.Blueprints[0].Ceiling[0].Type = "tool" }, "blueprints[0].ceiling[0].type: is not one of"},
		{"pattern of an api", func(d *Document) { d.Blueprints[0].Ceiling[0].Type = authority.API }, "patterns are for tools"},
		{"no endpoint", func(d *Document) { d.Servers[0].URL = "" }, "needs a url, or a command"},
		{"two endpoints", func(d *Document) { d.Servers[1].URL = "https://x.example" }, "both a url and a command"},
		{"not an address", func(d *Document) { d.Servers[0].URL = "https://u:p@x.example" }, "not an http or https address"},
		{"secret in the clear", func(d *Document) { d.Servers[0].URL = "http://records.example/mcp" }, "in the clear to records.example"},
		{"secret written down", func(d *Document) { d.Servers[0].Headers["Authorization"] = mapping.Secret{Value: "Bearer hunter2"} }, "Authorization looks like a secret"},
		{"two secrets", func(d *Document) {
			d.Servers[0].Headers["Authorization"] = mapping.Secret{FromEnv: "A", FromFile: "/b"}
		}, "exactly one of"},
		{"header injection", func(d *Document) { d.Servers[0].Headers["X: y\r\nZ"] = mapping.Secret{FromEnv: "A"} }, "cannot be the name"},
		{"effect", func(d *Document) { d.Servers[0].Tools["*"] = Tool{Effect: "reed"} }, "servers[0].tools.*.effect"},
		{"template", func(d *Document) { d.Servers[0].Tools["*"] = Tool{Resource: "{args.a}"} }, "servers[0].tools.*.resource"},
		{"amount", func(d *Document) { d.Servers[0].Tools["*"] = Tool{Cost: "-1"} }, "servers[0].tools.*.cost"},
		{"frame of another server", func(d *Document) {
			d.Servers[0].Contexts["encounter"].Frame[0].Server = "accounts"
		}, "servers[0].contexts.encounter.frame[0].server: a frame speaks of its own server only, records"},
		{"misspelt placeholder", func(d *Document) {
			d.Servers[0].Contexts["encounter"].Frame[0].Arguments = item("", map[string]string{"patient": "{contxt.patient}"}).Arguments
		}, "servers[0].contexts.encounter.frame[0]: {contxt.patient} is not a placeholder of a frame"},
		{"placeholder in a ceiling", func(d *Document) {
			d.Blueprints[0].Ceiling[0].Arguments = item("", map[string]string{"patient": "{context.patient}"}).Arguments
		}, "blueprints[0].ceiling[0]: {context.patient} stands for nothing here"},
		{"tuples without a model", func(d *Document) { d.Model = nil }, "tuples need a model"},
		{"tuple of nobody", func(d *Document) { d.Tuples[0].Subject = "user:nobody" }, `tuples[0].subject: there is no user "nobody"`},
		{"membership by tuple", func(d *Document) {
			d.Tuples[0] = relation.Tuple{Object: "group:staff", Relation: "member", Subject: "user:lead"}
		}, "said once"},
		{"tuple twice", func(d *Document) { d.Tuples[1] = d.Tuples[0] }, "tuples[1]: patient:P1#care_team@user:clinician is declared twice"},
		{"test of nothing", func(d *Document) { d.Tests[0].Can = []string{"agent:a1"} }, "tests[0].can: write [agent:a, server.tool]"},
		{"test of a user", func(d *Document) { d.Tests[0].Can[0] = "user:lead" }, "tests[0].can[0]"},
		{"test outcome", func(d *Document) { d.Tests[0].Expect = "yes" }, "tests[0].expect"},
		{"test stage", func(d *Document) { d.Tests[1].Stage = "top" }, "tests[1].stage"},
		{"test context", func(d *Document) { d.Tests[0].Context = map[string]string{"ticket": "T1"} }, "tests[0].context: names no type of context that a server maps (encounter)"},
		{"private key", func(d *Document) { d.Users[0].Key = json.RawMessage(`{"kty":"EC","crv":"P-256","d":"x"}`) }, "users[0].key"},

		{"ceiling on an unknown tool", func(d *Document) { d.Blueprints[0].Ceiling[1].Actions = []string{"write_notes"} }, "blueprints[0].ceiling[1].actions[0]: server records shows no tool write_notes; did you mean write_note?"},
		{"pattern that matches nothing", func(d *Document) { d.Blueprints[0].Ceiling[0].Actions = []string{"list_*"} }, "list_* matches no tool of server records; it shows delete_chart, read_chart"},
		{"mapping of an unknown tool", func(d *Document) { d.Servers[0].Tools["reed_chart"] = Tool{} }, "servers[0].tools.reed_chart: server records shows no tool reed_chart; did you mean read_chart?"},
		{"two patterns", func(d *Document) {
			d.Servers[0].Tools["*_chart"] = Tool{Effect: mapping.Write}
			d.Servers[0].Tools["delete*"] = Tool{Effect: mapping.Read}
		}, "*_chart and delete* both match tool delete_chart and differ"},
		{"tuple outside the model", func(d *Document) { d.Tuples[0].Relation = "friend" }, "tuples[0]: tuple patient:P1#friend@user:clinician: type patient has no relation friend"},
		{"reserved tuple", func(d *Document) {
			d.Tuples[0] = relation.Tuple{Object: "ambit:organisation", Relation: "declares", Subject: "tuple:x"}
		}, "Ambit's own"},
		{"policy syntax", func(d *Document) { d.Policies[0].Text = "permit (" }, "policies[0]: access.cedar"},
		{"policy about nobody", func(d *Document) { d.Policies[0].Text = `permit (principal == User::"leed", action, resource);` }, `there is no user "leed"; did you mean lead?`},
		{"policy about no tool", func(d *Document) {
			d.Policies[0].Text = `forbid (principal, action == Action::"records.delete", resource);`
		}, `server records shows no tool "delete"`},
		{"policy about no server", func(d *Document) { d.Policies[0].Text = `forbid (principal, action in Action::"recordz", resource);` }, `there is no server "recordz"; did you mean records?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := clone(t, hospital())
			tt.bad(&d)
			_, err := found(t).plan(d, showing())
			ps, ok := Found(err)
			if !ok || fault.KindOf(err) != fault.Malformed {
				t.Fatalf("got %v", err)
			}
			text, _ := fault.Safe(err)
			if !strings.Contains(text, tt.want) {
				t.Errorf("got\n%s\nwant %s", text, tt.want)
			}
			if slices.ContainsFunc(ps, func(p Problem) bool { return p.At == "" }) {
				t.Errorf("a problem without a place: %v", ps)
			}
			if strings.Contains(text, "hunter2") {
				t.Error("a secret is in the message")
			}
		})
	}
}

func TestParseIsStrict(t *testing.T) {
	for _, in := range []string{`{"users":[],"users":[]}`, `{"userz":[]}`, `{}{}`, `{"blueprints":[{"ceiling":[{"type":"mcp_tool","server":"a","action":["x"]}]}]}`} {
		if d, err := Parse([]byte(in)); err == nil {
			t.Errorf("%s is read as %+v", in, d)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"read", "read", true}, {"read", "read_x", false}, {"read_*", "read_", true}, {"*", "", true},
		{"*_x", "a_x", true}, {"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "axbxc", true},
		{"a*b*c", "acb", false}, {"r?ad", "read", false}, {"[a]", "a", false}, {"a**b", "ab", true},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%s on %s: %v", tt.pattern, tt.name, got)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"ceiling", "entitlement", "id", "owner", "purpose"}
	got := map[string]string{}
	for _, w := range []string{"ceilng", "cieling", "onwer", "purpos", "frame", "ide", "xx", "reuqestable"} {
		got[w] = Nearest(w, append(keys, "requestable"))
	}
	want := map[string]string{"ceilng": "ceiling", "cieling": "ceiling", "onwer": "owner", "purpos": "purpose",
		"frame": "", "ide": "id", "xx": "", "reuqestable": "requestable"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
