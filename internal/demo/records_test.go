package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// bearer adds a credential, as the gateway does.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func openRecords(t *testing.T) *file {
	t.Helper()
	b, err := org.ReadFile("org/records.json")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "records.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRecords(t *testing.T) {
	s := &records{file: openRecords(t), token: "secret"}
	srv := httptest.NewServer(s.handler())
	defer srv.Close()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: srv.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer("secret")}}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if got := session.InitializeResult().ProtocolVersion; got != revision {
		t.Errorf("speaks %s, want %s", got, revision)
	}
	for _, c := range []struct {
		tool, args, want string
		fails            bool
	}{
		{"read", `{"patient":"P1","kind":"labs"}`, `"r1"`, false},
		{"read", `{"patient":"P9"}`, `[]`, false},
		{"read", `{"patient":"P1","other":1}`, ``, true},
		{"write_note", `{"encounter":"E1","text":"well"}`, `"id":"n1"`, false},
		{"sign_note", `{"encounter":"E2","note":"n1"}`, `no note n1`, true},
		{"sign_note", `{"encounter":"E1","note":"n1"}`, `signed`, false},
		{"delete", `{"patient":"P2","id":"r1"}`, `no record r1`, true},
		{"delete", `{"patient":"P1","id":"r1"}`, `deleted`, false},
	} {
		var args map[string]any
		if err := json.Unmarshal([]byte(c.args), &args); err != nil {
			t.Fatal(err)
		}
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: c.tool, Arguments: args})
		if err != nil {
			t.Errorf("%s %s: %v", c.tool, c.args, err)
			continue
		}
		if text := res.Content[0].(*mcp.TextContent).Text; res.IsError != c.fails || !strings.Contains(text, c.want) {
			t.Errorf("%s %s answered %s (error %v), want %s (%v)", c.tool, c.args, text, res.IsError, c.want, c.fails)
		}
	}
	again, err := openFile(s.file.path)
	if err != nil {
		t.Fatal(err)
	}
	if left := again.read("P1", "labs"); len(left) != 2 || len(again.held.Notes) != 1 || !again.held.Notes[0].Signed {
		t.Errorf("the file holds %d labs and notes %+v", len(left), again.held.Notes)
	}
}

// Whoever does not hold the credential is refused before anything is read.
func TestRecordsRefusesStrangers(t *testing.T) {
	s := &records{file: openRecords(t), token: "secret"}
	h := s.handler()
	for _, auth := range []string{"", "Bearer ", "Bearer secre", "Bearer secrets", "bearer secret", "secret", "Basic c2VjcmV0"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"patient":"P1"}}}`))
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || s.calls.Load() != 0 {
			t.Errorf("%q: status %d, %d calls", auth, w.Code, s.calls.Load())
		}
	}
}

// The process serves what its files say, counts what arrives, and ends with its
// input; without a credential it does not begin.
func TestRecordsProcess(t *testing.T) {
	f, dir := openRecords(t), t.TempDir()
	token := filepath.Join(dir, "token")
	start := func(secret string) (*peer, error) {
		if err := os.WriteFile(token, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		return engage(t.Context(), newProcess("records", dir, os.Args[0], "demo-part", "records", f.path, token))
	}
	if p, err := start("\n"); err == nil {
		p.stop(0)
		t.Error("it serves without a credential")
	}
	p, err := start("secret\n")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop(grace)
	res, err := http.Post(p.hello.URL, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger got %s", res.Status)
	}
	if a, err := p.ask(t.Context(), order{Do: "count"}); err != nil || a.Calls != 0 {
		t.Errorf("%d calls, %v", a.Calls, err)
	}
	p.stop(grace)
	if p.err != nil {
		t.Errorf("it ended with %v", p.err)
	}
}
