package oauth

import (
	"net/http"
	"net/url"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/route"
)

// formType is the one media type of a token request (RFC 6749 section 3.2).
const formType = "application/x-www-form-urlencoded"

// exchange parses a token request. A parameter occurs once or not at all; one
// without a value is not there (RFC 6749 section 3.2).
func (f *Face) exchange(r *http.Request) (enforce.Exchange, error) {
	if r.URL.RawQuery != "" {
		return enforce.Exchange{}, malformed("parameters belong in the body, not in the query")
	}
	if len(r.Header.Values("Authorization")) != 0 {
		return enforce.Exchange{}, fault.Wrap(fault.Malformed, credential.ErrInvalidRequest,
			"clients authenticate with client_assertion, not with an Authorization header")
	}
	presented, err := f.Mux.Present(r)
	if err != nil {
		return enforce.Exchange{}, err
	}
	body, err := route.Body(r, formType)
	if err != nil {
		return enforce.Exchange{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return enforce.Exchange{}, malformed("the form does not parse")
	}
	x := enforce.Exchange{Proof: enforce.Presented(presented)}
	into := map[string]*string{
		"grant_type": &x.GrantType, "client_id": &x.ClientID,
		"client_assertion": &x.ClientAssertion, "client_assertion_type": &x.ClientAssertionType,
		"subject_token": &x.SubjectToken, "subject_token_type": &x.SubjectTokenType,
		"actor_token": &x.ActorToken, "actor_token_type": &x.ActorTokenType,
		"delegation": &x.Delegation, "assertion": &x.Assertion, "resource": &x.Resource,
	}
	for name, values := range form {
		if len(values) > 1 {
			if name == "resource" { // RFC 8707 allows it; a token of ours has one audience
				return enforce.Exchange{}, fault.Wrap(fault.Malformed, credential.ErrInvalidTarget, "ask for one resource at a time: a token has one audience")
			}
			return enforce.Exchange{}, malformed("a parameter occurs more than once")
		}
		if err := bounded(name, values[0]); err != nil {
			return enforce.Exchange{}, err
		}
		if p := into[name]; p != nil {
			*p = values[0]
		}
	}
	switch x.GrantType {
	case enforce.GrantTokenExchange, enforce.GrantJWTBearer:
		return x, nil
	case "":
		return enforce.Exchange{}, malformed("grant_type is missing")
	}
	return enforce.Exchange{}, fault.Wrap(fault.Malformed, credential.ErrUnsupportedGrant, "this grant_type is not offered").
		WithHint("see /.well-known/oauth-authorization-server")
}

// bounded refuses a parameter that asks for less than what would be issued, or
// for something else, and that this server does not read: a client that asked
// for a narrower token must not get a wider one.
func bounded(name, value string) error {
	if value == "" {
		return nil
	}
	switch {
	case name == "scope":
		return fault.Wrap(fault.Malformed, errScope, "there are no scopes here; authority is delegated by a signed mission or hop")
	case name == "audience":
		return fault.Wrap(fault.Malformed, credential.ErrInvalidTarget, "name the audience by resource, a URL")
	case name == "authorization_details":
		return fault.Wrap(fault.Malformed, credential.ErrInvalidDetails, "authority is narrowed by signing a narrower delegation, not by asking for a narrower token")
	case name == "requested_token_type" && value != enforce.TypeAccessToken:
		return malformed("only access tokens are issued")
	}
	return nil
}

// errScope is RFC 6749's; only this face has a use for it.
const errScope credential.Code = "invalid_scope"

func malformed(what string) error {
	return fault.Wrap(fault.Malformed, credential.ErrInvalidRequest, "%s", what)
}
