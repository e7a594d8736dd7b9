package orgfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// memory holds the files beside a file under test, by absolute path.
type memory map[string]string

func (m memory) read(path string, max int64) ([]byte, error) {
	s, ok := m[path]
	if !ok {
		return nil, fault.New(fault.NotFound, "%s cannot be read: no such file", path)
	}
	if int64(len(s)) > max {
		return nil, fault.New(fault.TooLarge, "%s is longer than %d kB", path, max>>10)
	}
	return []byte(s), nil
}

func (m memory) list(dir string) ([]string, error) {
	var names []string
	for path := range m {
		if filepath.Dir(path) == dir && strings.HasSuffix(path, ".cedar") {
			names = append(names, filepath.Base(path))
		}
	}
	return names, nil
}

const model = "model\n  schema 1.1\ntype user\ntype document\n  relations\n    define reader: [user]\n"

// The file of the product's own introduction, with what it names beside it.
const introduction = `
users:      [{id: me, manager: lead}, {id: lead}]
blueprints:
  - id: reader
    owner: me
    purpose: read and summarise documents
    entitlement: delegated
    ceiling:     [{type: mcp_tool, server: files, actions: ["read_*", "list_*"], arguments: {path: {pathPrefix: ./data}}}]
    requestable: [{type: mcp_tool, server: files, actions: ["write_file"], arguments: {path: {pathPrefix: ./data}}, otherArguments: any}]
agents:     [{id: assistant, blueprint: reader}]
servers:
  - id: files
    stdio: ["npx", "-y", "@modelcontextprotocol/server-filesystem", "./data"]
    tools: {"write_*": {effect: write}, "read_*": {effect: read, resource: "document:{args.path}"}}
model:   {file: model.fga}
policies: {dir: policies/}
tests:
  - {can: [agent:assistant, files.read_file, "document:./data/a.md"], for: user:me, expect: allow}
  - {can: [agent:assistant, files.write_file, "document:./data/a.md"], for: user:me, expect: challenge, link: agent:assistant}
`

var beside = memory{
	"/org/model.fga":             model,
	"/org/policies/access.cedar": `permit (principal == User::"me", action in Action::"files", resource);`,
}

func TestIntroduction(t *testing.T) {
	f, err := decode("org.yaml", "/org", []byte(introduction), beside)
	if err != nil {
		t.Fatal(err)
	}
	d := f.Document
	if got := d.Servers[0].Dir; got != "/org" {
		t.Errorf("the command runs in %q, want the folder of the file", got)
	}
	prefix := "./data"
	want := authority.Set{{Type: authority.MCPTool, Server: "files", Actions: []string{"read_*", "list_*"},
		Arguments: map[string]authority.Constraint{"path": {PathPrefix: &prefix}}}}
	if diff := cmp.Diff(want, d.Blueprints[0].Ceiling); diff != "" {
		t.Error(diff)
	}
	if f.Where("blueprints[0].requestable[0].actions[0]") != "org.yaml:9:61" || f.Where("blueprints[0].nothing") != "org.yaml:4:5" || f.Where("") != "org.yaml" {
		t.Errorf("places: %s, %s", f.Where("blueprints[0].requestable[0].actions[0]"), f.Where("blueprints[0].nothing"))
	}

	// And it does what it says.
	empty, err := decision.Empty("ten_00000000000000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	shown := map[string][]json.RawMessage{"files": {}}
	for _, name := range []string{"read_file", "read_text_file", "list_directory", "write_file"} {
		shown["files"] = append(shown["files"], json.RawMessage(`{"name":"`+name+`"}`))
	}
	mint := principal.Minter{Now: func() time.Time { return now }, Entropy: strings.NewReader(strings.Repeat("0123456789abc", 100))}
	pl, err := organisation.NewPlan(empty, d, shown, "usr_00000000000000000000000001", now, mint)
	if err != nil {
		t.Fatal(f.Explain(err))
	}
	next, err := empty.Apply(1, pl.Rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range organisation.RunTests(next, d, now) {
		if !r.Passed {
			t.Error(r)
		}
	}

	shown["files"] = shown["files"][:2]
	_, err = organisation.NewPlan(empty, d, shown, "", now, mint)
	message, _ := fault.Safe(f.Explain(err))
	if !strings.Contains(message, `org.yaml:8:71: list_* matches no tool of server files`) {
		t.Errorf("a problem of the plan has no line: %s", message)
	}
}

func TestForms(t *testing.T) {
	jwk := `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	text := `
users:
  - {id: a@example.org, name: "A", groups: [staff], key: {file: keys/a.jwk}}
groups: [{id: staff, name: Staff}]
workloads:
  - id: feed
    owner: a@example.org
    disabled: true
servers:
  - contexts: {encounter: {frame: [{actions: [read], resource: "patient:{context.patient}", arguments: {n: [1, two, true]}}]}}
    id: web
    url: https://x.example/mcp?a=<b>
    headers: {Authorization: {file: token, prefix: "Bearer "}, X-Mode: {value: fast}}
    tools: {read: {cost: 3, rows: args.n, effect: read}}
  - {id: cmd, stdio: [./run], dir: sub, env: {TOKEN: {env: THE_TOKEN}}}
policies:
  - '@id("one") permit (principal, action, resource);'
  - {file: p.cedar}
`
	fs := memory{"/org/keys/a.jwk": jwk + "\n", "/org/p.cedar": "forbid (principal, action, resource);"}
	f, err := decode("org.yaml", "/org", []byte(text), fs)
	if err != nil {
		t.Fatal(err)
	}
	d := f.Document
	resource := authority.StringValue("patient:{context.patient}")
	want := organisation.Server{ID: "web", URL: "https://x.example/mcp?a=<b>",
		Headers: map[string]mapping.Secret{"Authorization": {FromFile: "/org/token", Prefix: "Bearer "}, "X-Mode": {Value: "fast"}},
		Tools:   map[string]organisation.Tool{"read": {Effect: mapping.Read, Cost: "3", Rows: "args.n"}},
		Contexts: map[string]organisation.Context{"encounter": {Frame: mapping.Frame{{Type: authority.MCPTool, Server: "web", Actions: []string{"read"},
			Resource: &authority.Constraint{Exact: &resource},
			Arguments: map[string]authority.Constraint{"n": {OneOf: []authority.Value{{Raw: json.RawMessage("1")},
				{Raw: json.RawMessage(`"two"`)}, {Raw: json.RawMessage("true")}}}}}}}}}
	if diff := cmp.Diff(want, d.Servers[0]); diff != "" {
		t.Error(diff)
	}
	if cmd := d.Servers[1]; cmd.Dir != "/org/sub" || cmd.Env["TOKEN"].FromEnv != "THE_TOKEN" {
		t.Errorf("%+v", cmd)
	}
	if string(d.Users[0].Key) != jwk {
		t.Errorf("key %s", d.Users[0].Key)
	}
	if d.Policies[0].Name != "policies[0]" || d.Policies[1].Name != "p.cedar" || f.Where("policies[1]") != "p.cedar" {
		t.Errorf("%+v at %s", d.Policies, f.Where("policies[1]"))
	}
}

// TestErrors are golden: what people read when a file is wrong.
func TestErrors(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"nothing", "# a comment\n", "org.yaml: the file says nothing; applied, it would disable everybody"},
		{"a list", "- a\n", "org.yaml:1:1: the file has to be an object {key: value}, and is a list"},
		{"not YAML", "users: [\n", "org.yaml:1: not YAML: did not find expected node content"},
		{"tab", "users:\n\t- id: a\n", "org.yaml:2: not YAML: found character that cannot start any token"},
		{"two documents", "users: []\n---\nusers: []\n", "org.yaml:2:1: a second YAML document begins here; the file is one"},
		{"unknown key", "userz: []\n", "org.yaml:1:1: userz: the file has no such key; did you mean users?"},
		{"unknown key inside", "blueprints:\n  - id: a\n    ceilng: []\n", "org.yaml:3:5: ceilng: a blueprint has no such key; did you mean ceiling?"},
		{"unknown key far from any", "users: [{id: a, wibble: 1}]\n", "org.yaml:1:17: wibble: a user has no such key; it has disabled, groups, id, key, manager, name"},
		{"key twice", "users: []\ngroups: []\nusers: []\n", "org.yaml:3:1: users: this key is here twice, first in line 1"},
		{"key that is no text", "users: [{1: a}]\n", "org.yaml:1:10: 1: a key has to be text; quote it"},
		{"merge", "a: {}\nusers: [{<<: {id: a}}]\n", "org.yaml:2:10: a key has to be text"},
		{"anchor and alias", "users: &u []\ngroups: *u\n", "org.yaml:1:8: &u: anchors are refused; write it out where it is needed\norg.yaml:2:9: *u: aliases are refused; write it out"},
		{"tag", "users: !!set {}\n", "org.yaml:1:8: !!set: tags are refused"},
		{"list expected", "users: {id: a}\n", "org.yaml:1:8: users has to be a list, and is an object"},
		{"object expected", "users: [a]\n", "org.yaml:1:9: a user has to be an object {key: value}, and is text"},
		{"no value", "users:\ngroups: []\n", "org.yaml:1:7: users has no value; leave it out if there is none"},
		{"number for text", "users: [{id: 1.10}]\n", `org.yaml:1:14: 1.10 is a number where text is wanted; quote it: "1.10"`},
		{"date for text", "users: [{id: 2026-01-01}]\n", `org.yaml:1:14: 2026-01-01 is a date where text is wanted; quote it: "2026-01-01"`},
		{"text for flag", "users: [{id: a, disabled: yes}]\n", "org.yaml:1:27: true or false is wanted here, and this is text"},
		{"two problems", "users: [{id: a, nam: b}]\ngroup: []\n", "org.yaml:1:17: nam: a user has no such key; did you mean name?\norg.yaml:2:1: group: the file has no such key; did you mean groups?"},
		{"secret", "servers:\n  - id: s\n    url: https://x.example\n    headers: {Authorization: Bearer hunter2}\n",
			"org.yaml:4:30: Authorization: a secret is never written in the file; use {env: NAME} or {file: path}, and {value: …} for what is no secret"},
		{"hex", "blueprints: [{ceiling: [{arguments: {n: 0x10}}]}]\n", "org.yaml:1:41: 0x10 is a number; write a plain number, or quote it"},
		{"infinity", "tests: [{args: {n: .inf}}]\n", "org.yaml:1:20: .inf is a number; write a plain number, or quote it"},
		{"constraint", "blueprints: [{ceiling: [{arguments: {path: {pathprefix: a}}}]}]\n", "org.yaml:1:45: pathprefix: a constraint has no such key; did you mean pathPrefix?"},
		{"constraint inside and", "blueprints: [{ceiling: [{arguments: {path: {and: [{sufix: a}]}}}]}]\n", "org.yaml:1:52: sufix: a constraint has no such key; did you mean suffix?"},
		{"two constraints", "blueprints: [{ceiling: [{resource: {exact: a, prefix: b}}]}]\n", "org.yaml:1:36: this constraint "},
		{"empty choice", "blueprints: [{ceiling: [{arguments: {path: []}}]}]\n", "org.yaml:1:44: an empty list matches nothing; leave the item out"},
		{"missing file", "users: [{id: a, key: {file: no.jwk}}]\n", "org.yaml:1:29: /org/no.jwk cannot be read: no such file"},
		{"two keys", "users: [{id: a, key: {}}]\n", "org.yaml:1:22: a key is {file: path of a public JWK} or {jwk: …}"},
		{"no key", "users: [{id: a, key: {jwk: hello}}]\n", "org.yaml:1:22: the key is not a JWK: it is not JSON"},
		{"bad key", "users:\n  - id: a\n    key: {jwk: {kty: RSA}}\n", "org.yaml:3:10: this is not a public P-256 key as JWK: "},
		{"model", "model: |\n  model\n    schema 1.1\n  type doc\n    relations\n      define r: [usr]\n", "org.yaml:1:8: model: line 5, column 12: "},
		{"policy", "policies: ['permit (principal, action, resource) when {']\n", "org.yaml:1:12: policies[0]: "},
		{"empty folder", "policies: {dir: none}\n", "org.yaml:1:17: none holds no .cedar file"},
		{"reference", "users:\n  - id: lead\nagents: []\nblueprints:\n  - id: a\n    owner: leed\n    purpose: p\n    entitlement: own\n", `org.yaml:6:12: there is no user "leed" in this file; did you mean lead?`},
		{"owner missing", "users: [{id: a}]\nworkloads:\n  - id: w\n", "org.yaml:3:5: workload w needs an owner: the person who answers for it"},
		{"test", "tests:\n  - can: [agent:a]\n", "org.yaml:2:10: write [agent:a, server.tool] or [agent:a, server.tool, \"type:id\"]"},
		{"deep", "users: " + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "\n", "org.yaml:1:72: the file nests deeper than 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decode("org.yaml", "/org", []byte(tt.file), memory{})
			got, _ := fault.Safe(err)
			exact := !strings.HasSuffix(tt.want, " ")
			if exact && got != tt.want || !strings.HasPrefix(got, tt.want) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the message repeats a secret")
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("model.fga", model)
	write("policies/b.cedar", `@id("b") permit (principal, action, resource);`)
	write("policies/a.cedar", `@id("a") permit (principal, action, resource);`)
	write("policies/notes.txt", "not a policy")
	path := write("org.yaml", introduction)
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Document.Policies) != 2 || f.Document.Policies[0].Name != "a.cedar" || f.Document.Servers[0].Dir != dir {
		t.Errorf("policies %+v, dir %s", f.Document.Policies, f.Document.Servers[0].Dir)
	}
	if _, err := Load(dir); fault.KindOf(err) != fault.Malformed {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(write("long.yaml", "#"+strings.Repeat("a", maxFile))); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("a long file: %v", err)
	}
}

// FuzzDecode: whatever the bytes, decoding ends, and what it accepts survives the
// wire and validates there too.
func FuzzDecode(f *testing.F) {
	f.Add(introduction)
	f.Add("users: [{id: a, key: {jwk: {kty: EC}}}]\n")
	f.Add("a: &a [*a, *a]\nb: {<<: *a}\n")
	f.Add("tests: [{can: [agent:a, s.t], args: {n: 1e400, s: \"\\u2028\"}}]\n")
	f.Add("? [a]\n: b\n---\n...\n%YAML 1.2\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := decode("org.yaml", "/org", []byte(text), beside)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Malformed {
				t.Fatalf("%v: %v", k, err)
			}
			return
		}
		wire, err := json.Marshal(file.Document)
		if err != nil {
			t.Fatal(err)
		}
		back, err := organisation.Parse(wire)
		if err != nil {
			t.Fatalf("%v\n%s", err, wire)
		}
		if err := back.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
