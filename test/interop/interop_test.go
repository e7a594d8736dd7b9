package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestInterop puts stock clients before the gateway and stock servers behind it.
func TestInterop(t *testing.T) {
	w := newWorld(t)
	connected, assistant := w.mission(t, "connected"), w.mission(t, "assistant")
	t.Run("inspector", w.inspector)
	t.Run("sdk", w.sdk)
	t.Run("everything", w.everything)
	t.Run("evidence", func(t *testing.T) {
		w.export(t, connected)
		w.tamper(t, w.export(t, assistant))
	})
}

// inspector drives the MCP inspector's command line with a bearer token: a client
// that knows nothing of Ambit, under a blueprint that says so.
func (w *world) inspector(t *testing.T) {
	var token struct{ Access, Type string }
	out := w.run(t, "token", "--key", w.path("connected.key"), "--statement", w.path("connected.jws"), "--server", "files", "--bearer", "-o", "json")
	if err := json.Unmarshal([]byte(out), &token); err != nil || token.Type != "Bearer" {
		t.Fatalf("%v: %s", err, out)
	}
	ask := func(authorization string, args ...string) (int, string, string) {
		return w.try(filepath.Join("node_modules", ".bin", "mcp-inspector"), append([]string{"--cli", w.issuer + "/mcp/files", "--transport", "http",
			"--header", "Authorization: " + authorization, "--stored-auth-only", "--method"}, args...)...)
	}
	bearer := "Bearer " + token.Access

	code, out, errs := ask(bearer, "tools/list")
	var list struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil {
		t.Fatalf("tools/list: exit code %d, %v\n%s%s", code, err, out, errs)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"list_directory", "read_text_file"}) {
		t.Errorf("it lists %v", names)
	}
	if code, out, errs := ask(bearer, "tools/call", "--tool-name", "read_text_file", "--tool-arg", "path="+w.files+"/public/plan.md"); code != 0 || !strings.Contains(out, "the plan is simple") {
		t.Errorf("a permitted read: exit code %d\n%s%s", code, out, errs)
	}
	for _, path := range []string{"/private/plan.md", "/public/../private/plan.md", "/publicity/plan.md"} {
		code, out, errs := ask(bearer, "tools/call", "--tool-name", "read_text_file", "--tool-arg", "path="+w.files+path)
		if said := out + errs; code == 0 || strings.Contains(said, "secret") || !strings.Contains(said, "link 1") || !strings.Contains(said, "ceiling") {
			t.Errorf("a read of %s: exit code %d\n%s", path, code, said)
		}
	}
	if code, out, errs := ask("Bearer x"+token.Access, "tools/list"); code == 0 {
		t.Errorf("a wrong token lists: %s%s", out, errs)
	}
}

// A said is one line of agent.mjs.
type said struct {
	Token    string
	Tools    []string
	Text     string
	Progress []int
	Error    *struct {
		Code    int
		Message string
		Data    struct {
			Outcome, Stage, Entry, Reason string
			Link                          int
		}
	}
}

// denied reports whether a call was refused at link 1, the ceiling.
func (s said) denied() bool {
	return s.Error != nil && s.Error.Code == -32001 && s.Error.Data.Outcome == "deny" && s.Error.Data.Link == 1 &&
		s.Error.Data.Stage == "ceiling" && s.Error.Data.Entry != "" && strings.Contains(s.Error.Message, "ceiling")
}

// a step is what agent.mjs does next: a call, or without a tool a list.
type step struct {
	Tool      string         `json:"tool,omitempty"`
	Arguments map[string]any `json:"arguments,omitempty"`
	Progress  bool           `json:"progress,omitempty"`
}

// agent runs the SDK's client as the assistant, with a token that is bound to its
// key, and returns what it said to each step. Nothing of the token goes further
// than the gateway.
func (w *world) agent(t *testing.T, server string, steps ...step) []said {
	t.Helper()
	in, err := json.Marshal(map[string]any{"issuer": w.issuer, "server": server, "key": w.path("assistant.key"), "statement": w.path("assistant.jws"), "steps": steps})
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := w.tryWith(string(in), "node", "agent.mjs")
	var lines []said
	for line := range strings.Lines(out) {
		var s said
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, s)
	}
	if code != 0 || len(lines) != len(steps)+1 || lines[0].Token == "" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	return lines[1:]
}

func (w *world) sdk(t *testing.T) {
	read := func(path string) step {
		return step{Tool: "read_text_file", Arguments: map[string]any{"path": w.files + path}}
	}
	got := w.agent(t, "files", step{}, read("/public/plan.md"), read("/private/plan.md"),
		step{Tool: "write_file", Arguments: map[string]any{"path": w.files + "/public/plan.md", "content": "no plan"}}, read("/public/plan.md"))
	if slices.Sort(got[0].Tools); !slices.Equal(got[0].Tools, []string{"list_directory", "read_text_file"}) {
		t.Errorf("it lists %v", got[0].Tools)
	}
	for _, i := range []int{1, 4} {
		if got[i].Text != "the plan is simple" {
			t.Errorf("step %d, a permitted read: %+v", i, got[i])
		}
	}
	for _, i := range []int{2, 3} {
		if !got[i].denied() {
			t.Errorf("step %d is not denied at link 1, ceiling: %+v", i, got[i])
		}
	}
}

// everything has the SDK's client use server-everything over streamable HTTP.
func (w *world) everything(t *testing.T) {
	before := w.heard.calls()
	got := w.agent(t, "everything", step{}, step{Tool: "echo", Arguments: map[string]any{"message": "hello through the gateway"}},
		step{Tool: "get-env", Arguments: map[string]any{}}, step{Tool: "no-such-tool", Arguments: map[string]any{}},
		step{Tool: "trigger-long-running-operation", Arguments: map[string]any{"duration": 1, "steps": 4}, Progress: true})
	if slices.Sort(got[0].Tools); !slices.Equal(got[0].Tools, []string{"echo", "trigger-long-running-operation"}) {
		t.Errorf("it lists %v", got[0].Tools)
	}
	if !strings.Contains(got[1].Text, "hello through the gateway") {
		t.Errorf("echo: %+v", got[1])
	}
	for _, i := range []int{2, 3} {
		if !got[i].denied() {
			t.Errorf("step %d is not denied at link 1, ceiling: %+v", i, got[i])
		}
	}
	if !strings.Contains(got[4].Text, "completed") || !slices.Equal(got[4].Progress, []int{1, 2, 3, 4}) {
		t.Errorf("a long operation: %+v", got[4])
	}
	if n := w.heard.calls() - before; n != 2 {
		t.Errorf("%d calls reached the server, want 2", n)
	}
	w.heard.mu.Lock()
	defer w.heard.mu.Unlock()
	for i, r := range w.heard.requests {
		if r.Header.Get("X-Everything-Key") != secret {
			t.Errorf("request %d came without the injected credential", i)
		}
		for name, values := range r.Header {
			// Every token and proof is a JWS, and its header begins so.
			if name == "Authorization" || name == "Dpop" || strings.Contains(strings.Join(values, " "), "eyJ") {
				t.Errorf("request %d carries %s: %v", i, name, values)
			}
		}
		if strings.Contains(w.heard.bodies[i], "eyJ") {
			t.Errorf("request %d carries a token: %s", i, w.heard.bodies[i])
		}
	}
}

// export has a mission's evidence written to a file and verified.
func (w *world) export(t *testing.T, mission string) (file string) {
	t.Helper()
	file = w.path(mission + ".zip")
	w.run(t, "ledger", "export", "--mission", mission, "--out", file)
	if out := w.run(t, "verify", file); !strings.HasPrefix(out, "VALID") {
		t.Errorf("verify: %s", out)
	}
	return file
}

// tamper changes one byte of the evidence at a time, all over the file, and has
// each copy refused.
func (w *world) tamper(t *testing.T, file string) {
	t.Helper()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			bad := filepath.Join(t.TempDir(), "bundle.zip")
			for i := range at {
				flipped := slices.Clone(whole)
				flipped[i] ^= 1
				if err := os.WriteFile(bad, flipped, 0o600); err != nil {
					t.Error(err)
				} else if code, out, _ := w.try(w.ambit, "verify", bad); code != 1 || strings.HasPrefix(out, "VALID") {
					t.Errorf("with byte %d of %d changed: exit code %d\n%s", i, len(whole), code, out)
				}
			}
		})
	}
	for i := 0; i < len(whole); i += 97 {
		at <- i
	}
	close(at)
	workers.Wait()
	t.Logf("%d bytes, %d changes", len(whole), (len(whole)+96)/97)
}
