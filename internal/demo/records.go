package demo

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// records is the server of the ward's records: an ordinary MCP server that knows
// nothing of agents or missions, only that whoever calls holds its credential.
type records struct {
	file  *file
	token string       // the credential
	calls atomic.Int64 // tool calls that arrived
}

type readInput struct {
	Patient string `json:"patient" jsonschema:"whose records"`
	Kind    string `json:"kind,omitempty" jsonschema:"labs or vitals; all when left out"`
}

type writeInput struct {
	Encounter string `json:"encounter" jsonschema:"the encounter that the note is about"`
	Text      string `json:"text" jsonschema:"what the note says"`
}

type signInput struct {
	Encounter string `json:"encounter" jsonschema:"the encounter that the note is about"`
	Note      string `json:"note" jsonschema:"id of the note"`
}

type deleteInput struct {
	Patient string `json:"patient" jsonschema:"whose record"`
	ID      string `json:"id" jsonschema:"id of the record"`
}

// handler serves MCP at /mcp to whoever presents the credential.
func (s *records) handler() http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "records", Version: "1"}, nil)
	destructive, gentle := true, false
	tool(server, s, "read", "Read a patient's records", &mcp.ToolAnnotations{ReadOnlyHint: true},
		func(in readInput) (any, error) { return s.file.read(in.Patient, in.Kind), nil })
	tool(server, s, "write_note", "Write a note about an encounter", &mcp.ToolAnnotations{DestructiveHint: &gentle},
		func(in writeInput) (any, error) { return s.file.write(in.Encounter, in.Text) })
	tool(server, s, "sign_note", "Sign a note", &mcp.ToolAnnotations{DestructiveHint: &gentle},
		func(in signInput) (any, error) { return "signed", s.file.sign(in.Encounter, in.Note) })
	tool(server, s, "delete", "Delete a record of a patient", &mcp.ToolAnnotations{DestructiveHint: &destructive},
		func(in deleteInput) (any, error) { return "deleted", s.file.remove(in.Patient, in.ID) })
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.guard(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{JSONResponse: true})))
	return mux
}

// tool adds a tool whose answer is JSON as text.
func tool[In any](server *mcp.Server, s *records, name, says string, hints *mcp.ToolAnnotations, do func(In) (any, error)) {
	mcp.AddTool(server, &mcp.Tool{Name: name, Description: says, Annotations: hints},
		func(_ context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
			s.calls.Add(1)
			v, err := do(in)
			if err != nil {
				return nil, nil, err
			}
			b, err := json.Marshal(v)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(b)}}}, nil, err
		})
}

// guard refuses whoever does not present the credential.
func (s *records) guard(next http.Handler) http.Handler {
	want := []byte("Bearer " + s.token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the credential of this server is required", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// playRecords is the process of the records server. It serves until its input
// ends, and says on request how many tool calls arrived.
func playRecords(ctx context.Context, data, tokenFile string, stdin io.Reader, stdout io.Writer) error {
	f, err := openFile(data)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return err
	}
	s := &records{file: f, token: strings.TrimSpace(string(token))}
	if s.token == "" {
		return fmt.Errorf("%s holds no credential; without one this server would serve anybody", tokenFile)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	err = json.NewEncoder(stdout).Encode(answer{PID: os.Getpid(), URL: "http://" + ln.Addr().String() + "/mcp"})
	if err == nil {
		err = serveOrders(ctx, stdin, stdout, func(_ context.Context, o order) (answer, error) {
			if o.Do != "count" {
				return answer{}, fmt.Errorf("a records server cannot %q", o.Do)
			}
			return answer{Calls: s.calls.Load()}, nil
		})
	}
	err = errors.Join(err, server.Close())
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return err
}
