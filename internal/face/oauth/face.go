package oauth

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
)

// maxForm bounds a token request: four signed tokens and some words.
const maxForm = 64 << 10

// An Issuer decides and mints. *enforce.Spine is one.
type Issuer interface {
	Issue(ctx context.Context, x enforce.Exchange) (enforce.Issued, error)
}

// A Face serves the authorization server's endpoints. Its fields are set once;
// it is safe for concurrent use.
type Face struct {
	Spine Issuer
	Keys  credential.Signer // for its public half
	Mux   *route.Mux
}

// Mount hangs the endpoints on the face's mux.
func (f *Face) Mount() {
	f.Mux.Mount(route.Route{Pattern: "POST /oauth/token", Action: "token.issue", MaxBody: maxForm}, f.token)
	f.Mux.Mount(route.Route{Pattern: "GET /oauth/jwks", Action: "discovery.read"}, f.jwks)
	f.Mux.Mount(route.Route{Pattern: "GET /.well-known/oauth-authorization-server", Action: "discovery.read"}, f.metadata)
}

// jwks serves the keys that access tokens verify with (RFC 7517).
func (f *Face) jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(f.Keys.KeySet()) // a client that went away is not an error of ours
	return nil
}

// metadata is RFC 8414. It names what is spoken and nothing else: there is no
// authorization endpoint, hence no response type, no PKCE, and no OpenID Connect
// (which is why /.well-known/openid-configuration does not exist).
func (f *Face) metadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	issuer := f.Mux.Issuer()
	return route.WriteJSON(w, http.StatusOK, map[string]any{
		"issuer":                   issuer,
		"token_endpoint":           issuer + "/oauth/token",
		"jwks_uri":                 issuer + "/oauth/jwks",
		"response_types_supported": []string{},
		"grant_types_supported":    []string{enforce.GrantTokenExchange, enforce.GrantJWTBearer},
		// The assertion grant authenticates by its assertion; clients of an
		// exchange by their key.
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt", "none"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"ES256"},
		"dpop_signing_alg_values_supported":                []string{"ES256"},
		"authorization_details_types_supported":            []string{"mcp_tool", "api", "resource"},
	})
}

// token answers a token request.
func (f *Face) token(w http.ResponseWriter, r *http.Request) error {
	x, err := f.exchange(r)
	if err != nil {
		return refuse(w, r, err)
	}
	issued, err := f.Spine.Issue(r.Context(), x)
	if err != nil {
		return refuse(w, r, err)
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1; no-store is the mux's
	return route.WriteJSON(w, http.StatusOK, response{issued.AccessToken, issued.IssuedTokenType, issued.TokenType,
		issued.ExpiresIn, issued.AuthorizationDetails, issued.Mission, issued.Hop})
}

// response is RFC 6749 section 5.1 with RFC 8693's and RFC 9396's members, and
// the mission and hop that the token is of.
type response struct {
	AccessToken     string          `json:"access_token"`
	IssuedTokenType string          `json:"issued_token_type,omitempty"`
	TokenType       string          `json:"token_type"`
	ExpiresIn       int             `json:"expires_in"` // seconds
	Details         json.RawMessage `json:"authorization_details,omitempty"`
	Mission         principal.UID   `json:"mission,omitempty"`
	Hop             principal.UID   `json:"hop,omitempty"`
}
