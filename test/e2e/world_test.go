package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/cli"
	"github.com/ambit-iam/ambit/proof"
)

// commandLine is the environment variable that makes this test binary the
// product: its lines are the arguments.
const commandLine = "AMBIT_E2E_COMMAND_LINE"

// TestProduct is not a test: it is what a process of this binary runs when it
// plays the product, so that no other binary has to be built and found.
func TestProduct(t *testing.T) {
	line, ok := os.LookupEnv(commandLine)
	if !ok {
		t.Skip("runs only as a process of another test")
	}
	os.Exit(cli.Main(strings.Split(line, "\n"), os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// product returns the product with a command line, to be started.
func product(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestProduct$")
	cmd.Env = append(os.Environ(), commandLine+"="+strings.Join(args, "\n"))
	return cmd
}

// A world is one server, with an administrator and an upstream, for one test.
type world struct {
	t      *testing.T
	dir    string
	issuer string
	admin  *client.Person
	server *exec.Cmd
	stderr *bytes.Buffer // of the server; read after its end
	gone   chan struct{} // closed when the server's process has ended
	// slowest is the longest time from a start to the first answer.
	slowest time.Duration
}

// newWorld starts a server on a port that it keeps over restarts, and enrols its
// administrator.
func newWorld(t *testing.T) *world {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &world{t: t, dir: t.TempDir(), issuer: "http://" + free.Addr().String()}
	must(t, free.Close())
	w.start()
	t.Cleanup(func() { w.kill() })
	w.admin = &client.Person{Issuer: w.issuer, ID: "admin", Key: newKey(t)}
	door := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.dir+"/data/admin.sock")
	}}}
	defer door.CloseIdleConnections()
	res, err := door.Post("http://door/enrol", "application/json", bytes.NewReader(encode(t, map[string]any{
		"handle": "admin", "name": "The administrator", "jwk": w.admin.Key.Public()})))
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("enrolment: %s", res.Status)
	}
	return w
}

// start starts the server and waits until it serves.
func (w *world) start() {
	w.t.Helper()
	if err := w.launch(); err != nil {
		w.t.Fatal(err)
	}
}

// launch starts the server; the error is that it ended instead of serving.
func (w *world) launch() error {
	w.t.Helper()
	began := time.Now()
	ready := filepath.Join(w.dir, "ready")
	if err := os.Remove(ready); err != nil && !os.IsNotExist(err) {
		return err
	}
	w.stderr = &bytes.Buffer{}
	w.server = product("serve", "--data", filepath.Join(w.dir, "data"), "--listen", strings.TrimPrefix(w.issuer, "http://"), "--ready-file", ready)
	w.server.Stderr = w.stderr
	must(w.t, w.server.Start())
	cmd, gone := w.server, make(chan struct{})
	go func() {
		_ = cmd.Wait() // a killed process has a state that is an error
		close(gone)
	}()
	w.gone = gone
	for {
		if _, err := os.Stat(ready); err == nil {
			w.slowest = max(w.slowest, time.Since(began))
			return nil
		}
		select {
		case <-gone:
			return fmt.Errorf("the server ended before it served:\n%s", w.stderr)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(began) > 20*time.Second {
			w.kill()
			return fmt.Errorf("the server does not get ready:\n%s", w.stderr)
		}
	}
}

// kill ends the server with SIGKILL: whatever it was about to do is not done.
func (w *world) kill() {
	_ = w.server.Process.Kill() // it may have ended already
	<-w.gone
}

// apply makes the organisation what a document says.
func (w *world) apply(document map[string]any) {
	w.t.Helper()
	must(w.t, w.admin.Do(w.t.Context(), "POST", "/api/v1/apply", map[string]any{"document": document}, nil))
}

// A taken mission is one in the hands of the agent that it was signed for.
type taken struct {
	*client.Mission
	agent     *client.Agent
	statement string
}

// A mandate is a mission over the whole ceiling of an agent's blueprint.
type mandate struct {
	agent  string // handle
	limits map[string]any
	key    *client.Key // the agent's
	bearer bool
	over   http.RoundTripper // of the agent; may be nil
}

// take has the administrator sign and start a mission, and the agent take it for
// a server.
func (w *world) take(m mandate, server string) taken {
	w.t.Helper()
	request := map[string]any{"agent": m.agent, "intent": "do what an agent does here", "for": 3600}
	if m.limits != nil {
		request["limits"] = m.limits
	}
	var draft json.RawMessage
	must(w.t, w.admin.Do(w.t.Context(), "POST", "/api/v1/missions:draft", request, &draft))
	var st struct {
		Subject string `json:"sub"`
	}
	must(w.t, json.Unmarshal(draft, &st))
	statement, err := w.admin.SignMission(draft)
	must(w.t, err)
	must(w.t, w.admin.Do(w.t.Context(), "POST", "/api/v1/missions", map[string]any{"statement": statement}, nil))
	a := &client.Agent{Issuer: w.issuer, ID: st.Subject, Key: m.key, Bearer: m.bearer, HTTP: &http.Client{Transport: m.over}}
	mission, err := a.Take(w.t.Context(), statement, server)
	must(w.t, err)
	return taken{mission, a, statement}
}

// bundle exports the evidence of a mission and verifies it.
func (w *world) bundle(mission string) proof.Bundle {
	w.t.Helper()
	zip, err := w.admin.Raw(w.t.Context(), "GET", "/api/v1/missions/"+mission+"/bundle", nil)
	must(w.t, err)
	b, err := proof.ReadBundle(zip)
	must(w.t, err)
	r, err := proof.Verify(b, proof.Options{})
	if err != nil {
		w.t.Errorf("the evidence does not verify: %v\n%s", err, strings.Join(r.Problems, "\n"))
	}
	w.t.Logf("evidence: %d entries, %d allowed actions, %d without a known outcome", r.Entries, r.Actions, r.Unknown)
	return b
}

// A rpcAnswer is what the gateway answers a message.
type rpcAnswer struct {
	Result struct {
		Content []struct{ Text string }
		Tools   []struct{ Name string }
	}
	Error *struct {
		Code    int
		Message string
		Data    struct {
			Entry, Kind, Outcome, Stage string
			Link                        int
		}
	}
}

// toolCall is the frame of a tools/call.
func toolCall(tool string, arguments any) string {
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call",
		"params": map[string]any{"name": tool, "arguments": arguments}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func newKey(t testing.TB) *client.Key {
	t.Helper()
	k, err := client.NewKey()
	must(t, err)
	return k
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// permit lets the administrator use every tool of servers: an agent that acts for
// them can do no more than they may.
func permit(servers ...string) (sources []map[string]string) {
	for _, s := range servers {
		sources = append(sources, map[string]string{"name": s + ".cedar",
			"text": fmt.Sprintf(`@id(%q) permit (principal == User::"admin", action in Action::%q, resource);`, s, s)})
	}
	return sources
}
