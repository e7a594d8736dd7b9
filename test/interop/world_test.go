package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// secret is the credential that the server behind the gateway wants.
const secret = "the key of server everything"

// A world is an organisation with two agents in front of two foreign servers,
// and a mission that a person signed for each agent.
type world struct {
	dir    string // of this test; everything is under it
	ambit  string // the product
	issuer string
	files  string // the directory that server files serves
	heard  *recorder
}

// newWorld starts everything. It skips the test where npm has installed nothing.
func newWorld(t *testing.T) *world {
	t.Helper()
	major, err := exec.Command("node", "-p", "process.versions.node.split('.')[0] >= 22").Output()
	if err != nil || strings.TrimSpace(string(major)) != "true" {
		t.Skip("needs Node 22 or later on PATH: ./check interop installs it")
	}
	if _, err := os.Stat("node_modules"); err != nil {
		t.Skip("needs the foreign programs: ./check interop installs them, or npm ci --ignore-scripts here")
	}
	dir := t.TempDir()
	w := &world{dir: dir, ambit: filepath.Join(dir, "ambit"), files: filepath.Join(dir, "files")}
	build := exec.Command("go", "build", "-o", w.ambit, "./cmd/ambit")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, text := range map[string]string{"public/plan.md": "the plan is simple", "private/plan.md": "the plan is secret"} {
		w.write(t, filepath.Join("files", name), text)
	}
	w.heard = &recorder{}
	everything := w.heard.before(t, startEverything(t))
	w.serve(t)
	w.run(t, "user", "enrol", "admin", "--data", w.path("data"), "--url", w.issuer)
	for _, agent := range []string{"connected", "assistant"} {
		w.write(t, agent+".jwk", w.run(t, "key", "new", w.path(agent+".key")))
	}
	w.write(t, "org.yaml", w.organisation(everything))
	w.run(t, "apply", "-f", w.path("org.yaml"))
	w.write(t, "mandate.yaml", fmt.Sprintf(`
- {type: mcp_tool, server: files, actions: [read_text_file, list_directory], arguments: {path: {pathPrefix: %q}}}
- {type: mcp_tool, server: everything, actions: [echo, trigger-long-running-operation], otherArguments: any}
`, w.files+"/public"))
	return w
}

// organisation is the file that is applied. What is served behind files is the
// directory itself; that agents see less of it is the mission's doing.
func (w *world) organisation(everything string) string {
	ceiling := `[{type: mcp_tool, server: files, actions: ["read_*", "list_*"], otherArguments: any},
      {type: mcp_tool, server: everything, actions: [echo, "trigger-long-*"], otherArguments: any}]`
	module := func(name string) string {
		abs, _ := filepath.Abs(filepath.Join("node_modules", "@modelcontextprotocol", name, "dist", "index.js")) // the working directory exists
		return abs
	}
	return fmt.Sprintf(`
users: [{id: admin}]
blueprints:
  - {id: connected-client, owner: admin, purpose: whatever a stock client is for, entitlement: delegated, bearer: true, ceiling: %[1]s}
  - {id: assistant, owner: admin, purpose: read plans, entitlement: delegated, ceiling: %[1]s}
agents:
  - {id: connected, blueprint: connected-client, key: {file: connected.jwk}}
  - {id: assistant, blueprint: assistant, key: {file: assistant.jwk}}
servers:
  - id: files
    stdio: [node, %[2]q, %[3]q]
    tools: {"read_*": {effect: read, resource: "file:{args.path}"}, "list_*": {effect: read}}
  - id: everything
    url: %[4]q
    headers: {X-Everything-Key: {env: EVERYTHING_KEY}}
policies:
  - permit (principal == User::"admin", action in [Action::"files", Action::"everything"], resource);
tests:
  - {can: [agent:assistant, files.read_text_file], for: user:admin, args: {path: /anything}, expect: allow}
  - {can: [agent:assistant, files.write_file], for: user:admin, expect: deny, stage: ceiling}
`, ceiling, module("server-filesystem"), w.files, everything)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// environment is what every program gets: a home of its own, and nothing of
// Ambit's from around the test.
func (w *world) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.path("home"), "AMBIT_CONFIG_DIR=" + w.path("config"), "EVERYTHING_KEY=" + secret}
}

// serve starts the server under test and waits until it serves.
func (w *world) serve(t *testing.T) {
	t.Helper()
	ready := w.path("ready.json")
	start(t, w.environment(), w.ambit, "serve", "--data", w.path("data"), "--listen", "127.0.0.1:0", "--ready-file", ready)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		var r struct{ Issuer string }
		if b, err := os.ReadFile(ready); err == nil && json.Unmarshal(b, &r) == nil {
			w.issuer = r.Issuer
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("the server does not get ready")
		}
	}
}

// run runs a command of the product that has to succeed and returns what it
// printed.
func (w *world) run(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := w.try(w.ambit, args...)
	if code != 0 {
		t.Fatalf("ambit %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// try runs a program to its end.
func (w *world) try(program string, args ...string) (code int, stdout, stderr string) {
	return w.tryWith("", program, args...)
}

func (w *world) tryWith(stdin, program string, args ...string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(stdin), &out, &errs, w.environment()
	if err := cmd.Run(); err != nil {
		errs.WriteString(err.Error())
		code = -1
		if cmd.ProcessState != nil {
			code = cmd.ProcessState.ExitCode()
		}
	}
	return code, out.String(), errs.String()
}

// mission has the administrator sign a mission for an agent and returns its uid;
// the statement is in AGENT.jws.
func (w *world) mission(t *testing.T, agent string) string {
	t.Helper()
	var m struct{ Mission string }
	out := w.run(t, "mission", "start", "--agent", agent, "--intent", "read the public plans", "--for", "1h",
		"--authority", w.path("mandate.yaml"), "--out", w.path(agent+".jws"), "--yes", "-o", "json")
	if err := json.Unmarshal([]byte(out), &m); err != nil || m.Mission == "" {
		t.Fatalf("%v: %s", err, out)
	}
	return m.Mission
}

// start starts a program that runs until the test ends; what it said is shown
// if the test failed.
func start(t *testing.T, env []string, program string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may be gone
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait() // interrupted: its state may be an error
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(program), said.String())
		}
	})
}

// startEverything starts server-everything over streamable HTTP.
func startEverything(t *testing.T) *url.URL {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	_, port, _ := net.SplitHostPort(at)
	free.Close()
	start(t, append(os.Environ(), "PORT="+port), "node", filepath.Join("node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js"), "streamableHttp")
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", at); err == nil {
			c.Close()
			return &url.URL{Scheme: "http", Host: at}
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("server-everything does not listen")
		}
	}
}

// A recorder stands between the gateway and a server, and remembers all that the
// gateway sends.
type recorder struct {
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

// before starts a proxy before a server that lets only who knows the secret pass,
// and returns the URL of its MCP endpoint.
func (r *recorder) before(t *testing.T, server *url.URL) string {
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(server) }, FlushInterval: -1}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, q.Clone(context.Background())), append(r.bodies, string(body))
		r.mu.Unlock()
		if q.Header.Get("X-Everything-Key") != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/mcp"
}

// calls counts the tool calls that arrived.
func (r *recorder) calls() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bodies {
		if strings.Contains(b, `"tools/call"`) {
			n++
		}
	}
	return n
}
