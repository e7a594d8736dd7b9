package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/principal"
)

// childVar makes the test binary an MCP server on stdio when it is set.
const childVar = "UPSTREAM_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		if err := sdkServer().Run(context.Background(), &mcp.StdioTransport{}); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type input struct {
	Text  string `json:"text,omitempty"`
	Steps int    `json:"steps,omitempty"`
}

// sdkServer is an upstream made with the MCP SDK. Its tools: echo says text back;
// progress reports steps and then echoes; wait waits until it is cancelled;
// cancelled says how many waits were; whoami names its process; crash ends it.
func sdkServer() *mcp.Server {
	var cancelled atomic.Int64
	say := func(format string, args ...any) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}, nil, nil
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "fixture", Version: "1"}, nil)
	tool := func(name string, h mcp.ToolHandlerFor[input, any]) {
		mcp.AddTool(s, &mcp.Tool{Name: name, Description: name + " tool"}, h)
	}
	tool("echo", func(_ context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		return say("%s", in.Text)
	})
	tool("progress", func(ctx context.Context, r *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		for i := range in.Steps {
			if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(),
				Progress: float64(i + 1), Message: in.Text}); err != nil {
				return nil, nil, err
			}
		}
		return say("%s", in.Text)
	})
	tool("wait", func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		<-ctx.Done()
		cancelled.Add(1)
		return nil, nil, ctx.Err()
	})
	tool("cancelled", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return say("%d", cancelled.Load())
	})
	tool("whoami", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return say("%d %s", os.Getpid(), os.Getenv("SECRET"))
	})
	tool("crash", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		os.Exit(3)
		return nil, nil, nil
	})
	return s
}

// opened stands in for the spine, which alone can make an Opened outside a test:
// it takes a spent Permit.
func opened(server mapping.Server, mission string, headers, env map[string]string) broker.Opened {
	var o broker.Opened
	set := func(name string, v any) {
		f := reflect.ValueOf(&o).Elem().FieldByName(name)
		reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(v))
	}
	set("server", server)
	set("headers", headers)
	set("env", env)
	set("session", broker.Session{Server: server.ID, Origin: "usr_origin", Mission: principal.UID(mission)})
	return o
}

func atURL(url string) broker.Opened {
	return opened(mapping.Server{ID: "srv_test", Handle: "records", URL: url}, "msn_1", map[string]string{"Authorization": "Bearer upstream-secret"}, nil)
}

func inProcess(mission string, env map[string]string) broker.Opened {
	all := map[string]string{childVar: "1"}
	for k, v := range env {
		all[k] = v
	}
	return opened(mapping.Server{ID: "srv_test", Handle: "records", Command: []string{os.Args[0]}}, mission, nil, all)
}

// fresh returns an Upstreams that is closed with the test, which fails if
// anything of it is left.
func fresh(t *testing.T, o Options) *Upstreams {
	t.Helper()
	u := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		u.Close(ctx)
		buf := make([]byte, 1<<20)
		for range 100 {
			n := runtime.Stack(buf, true)
			if !strings.Contains(string(buf[:n]), "upstream.(*") && !strings.Contains(string(buf[:n]), "stdio.(*") {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("left behind:\n%s", buf[:runtime.Stack(buf, true)])
	})
	return u
}

// scripted is an upstream that greets like any other and leaves the rest to h.
// count is how many sessions it opened.
func scripted(t *testing.T, h func(w http.ResponseWriter, r *http.Request, m frame)) (url string, count *atomic.Int64) {
	t.Helper()
	count = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m frame
		if r.Method == http.MethodPost {
			if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		switch m.Method {
		case "initialize":
			w.Header().Set("Mcp-Session-Id", fmt.Sprintf("session-%d", count.Add(1)))
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}`, m.ID)
		case "notifications/initialized":
			w.WriteHeader(http.StatusAccepted)
		default:
			h(w, r, m)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, count
}

type frame struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Code int }
}

func answer(w http.ResponseWriter, m frame, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

// text is what a tool result says.
func text(r broker.Reply) string {
	var v struct{ Content []struct{ Text string } }
	if json.Unmarshal(r.Result, &v) != nil || len(v.Content) == 0 {
		return "?" + string(r.Result) + string(r.Error)
	}
	return v.Content[0].Text
}

func call(tool, args string) json.RawMessage {
	return json.RawMessage(`{"name":"` + tool + `","arguments":` + args + `}`)
}
