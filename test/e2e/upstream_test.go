package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
)

// An upstream is an MCP server in the test's own process, so that it outlives the
// gateway and knows the truth of what was done.
type upstream struct {
	*httptest.Server
	tools string // the array that tools/list answers with
	// effect does a tool's work; it runs before anything is answered.
	effect func(tool string, arguments map[string]json.RawMessage)

	mu       sync.Mutex
	requests int         // that arrived, of any method
	seen     http.Header // every header that came with them
}

// newUpstream starts a server whose tools each take one required text.
func newUpstream(t *testing.T, effect func(string, map[string]json.RawMessage), tools ...string) *upstream {
	u := &upstream{effect: effect, seen: http.Header{}}
	var list []map[string]any
	for _, tool := range tools {
		list = append(list, map[string]any{"name": tool, "inputSchema": map[string]any{"type": "object",
			"properties": map[string]any{"id": map[string]string{"type": "string"}}, "required": []string{"id"}}})
	}
	u.tools = string(encode(t, list))
	u.Server = httptest.NewServer(http.HandlerFunc(u.serve))
	t.Cleanup(u.Close)
	return u
}

// serve answers with plain JSON and keeps no session (MCP 2025-11-25).
func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Name      string
			Arguments map[string]json.RawMessage
		}
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(body)).Decode(&m)
	}
	if err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	u.mu.Lock()
	u.requests++
	for k, v := range r.Header {
		u.seen[k] = append(u.seen[k], v...)
	}
	u.mu.Unlock()
	result := ""
	switch m.Method {
	case "initialize":
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"upstream","version":"1"}}`
	case "tools/list":
		result = `{"tools":` + u.tools + `}`
	case "tools/call":
		u.effect(m.Params.Name, m.Params.Arguments)
		result = `{"content":[{"type":"text","text":"done"}]}`
	default: // a notification
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

// arrived is how many requests the upstream has had.
func (u *upstream) arrived() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests
}

// header returns every value of a header that the upstream has seen.
func (u *upstream) header(name string) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen.Values(name))
}

// long reports whether the long form of a test is wanted.
func long() bool { return os.Getenv("AMBIT_LONG") != "" }
