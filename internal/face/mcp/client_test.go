package mcp

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type bearer struct{}

func (bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "DPoP "+token("known", "hop", ""))
	return http.DefaultTransport.RoundTrip(r)
}

// A stock client of a later revision falls back to one that is spoken here, and
// finds its way.
func TestStockClient(t *testing.T) {
	url, s, _ := gateway(t)
	c := mcp.NewClient(&mcp.Implementation{Name: "stock", Version: "1"}, nil)
	session, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url + "/mcp/records",
		HTTPClient: &http.Client{Transport: bearer{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := session.InitializeResult(); got.ProtocolVersion != "2025-11-25" || got.ServerInfo.Name != "ambit/records" {
		t.Errorf("%+v", got)
	}
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 2 || tools.Tools[0].Name != "read" {
		t.Errorf("%+v, %v", tools, err)
	}
	r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "sick", Arguments: map[string]any{"p": "P1"}})
	if err != nil || !r.IsError {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "delete"}); err == nil {
		t.Error("a denied call succeeded")
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	got := s.wait(6)
	slices.Sort(got) // an outcome may be recorded after the next call began
	if d := cmp.Diff([]string{"act delete {}", `act sick {"p":"P1"}`, "check initialize", "check notifications/initialized",
		"outcome error", "tools"}, got); d != "" {
		t.Error(d)
	}
}
