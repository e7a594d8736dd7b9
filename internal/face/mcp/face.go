package mcp

import (
	"context"
	"net/http"
	"net/url"

	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/route"
)

// A Spine is what this face needs of enforce.Spine.
type Spine interface {
	Act(ctx context.Context, call enforce.Call, effect enforce.Effect) (enforce.Decision, error)
	Check(ctx context.Context, call enforce.Call) (enforce.Decision, error)
	Tools(ctx context.Context, call enforce.Call) ([]mapping.Tool, enforce.Decision, error)
	Refuse(ctx context.Context, call enforce.Call, reason string) (enforce.Decision, error)
}

var _ Spine = (*enforce.Spine)(nil)

// maxBody is the most bytes of one message from an agent: 1 MiB.
const maxBody = 1 << 20

// A Face serves the gateway. Set the exported fields, then Mount it once.
type Face struct {
	Spine     Spine
	Upstreams enforce.Upstreams
	Mux       *route.Mux
	Version   string // of the server, as initialize tells it; "" means "dev"

	flights flights
}

// Mount hangs the gateway and the metadata of its resources on the face's mux.
// Other methods than POST are answered 405 by the mux: a gateway without sessions
// has no stream to GET and nothing to DELETE (MCP 2025-11-25, Transports).
func (f *Face) Mount() {
	f.Mux.Mount(route.Route{Pattern: "POST /mcp/{server}", Action: "mcp.message", MaxBody: maxBody, Stream: true}, f.message)
	f.Mux.Mount(route.Route{Pattern: "GET /.well-known/oauth-protected-resource/mcp/{server}", Action: "discovery.read"}, f.metadata)
}

// resource is the URL of a server behind the gateway, the audience of its tokens.
func (f *Face) resource(server string) string {
	return f.Mux.Issuer() + "/mcp/" + url.PathEscape(server)
}

// metadataURL is where a challenge sends its client (RFC 9728 section 3.1).
func (f *Face) metadataURL(server string) string {
	return f.Mux.Issuer() + "/.well-known/oauth-protected-resource/mcp/" + url.PathEscape(server)
}

// metadata answers RFC 9728. It is the same for a server that does not exist, so
// that nobody learns here which ones do.
func (f *Face) metadata(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	return route.WriteJSON(w, http.StatusOK, struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
		BearerMethods        []string `json:"bearer_methods_supported"`
		DPoPAlgorithms       []string `json:"dpop_signing_alg_values_supported"`
	}{f.resource(r.PathValue("server")), []string{f.Mux.Issuer()}, []string{"header"}, []string{"ES256"}})
}
