package route

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// Presented is what a request carries to say who makes it, unverified. It has
// the members of credential.Presented in their order, so that a face converts
// one into the other; this package may not know rooms.
type Presented struct {
	Scheme  string
	Token   string
	Proof   string
	Method  string
	URL     string
	Request principal.UID
}

// Present takes the credential off r: at most one Authorization header of the
// scheme DPoP or Bearer (in any case, RFC 9110 section 11.1), at most one DPoP
// header, and nothing in the query. A request without Authorization yields a
// Presented without Token: whoever needs one refuses it.
func (m *Mux) Present(r *http.Request) (Presented, error) {
	p := Presented{Method: r.Method, URL: m.PublicURL(r), Request: RequestID(r.Context())}
	if r.URL.Query().Has("access_token") {
		return Presented{}, fault.New(fault.Malformed, "a token in the query is refused: queries are logged").
			WithHint("send it as: Authorization: DPoP <token>")
	}
	proofs, headers := r.Header.Values("DPoP"), r.Header.Values("Authorization")
	if len(proofs) > 1 || len(headers) > 1 {
		return Presented{}, fault.New(fault.Malformed, "more than one Authorization or DPoP header: want one of each at most")
	}
	if len(proofs) == 1 {
		p.Proof = proofs[0]
	}
	if len(headers) == 0 {
		return p, nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	switch {
	case strings.EqualFold(scheme, "DPoP"):
		p.Scheme = "DPoP"
	case strings.EqualFold(scheme, "Bearer"):
		p.Scheme = "Bearer"
	default:
		return Presented{}, fault.New(fault.Unauthenticated, "the Authorization scheme is not one of DPoP and Bearer")
	}
	p.Token = strings.TrimLeft(token, " ")
	if p.Token == "" || strings.ContainsAny(p.Token, " \t,") {
		return Presented{}, fault.New(fault.Malformed, "the Authorization header does not hold one token")
	}
	return p, nil
}

// Body reads r's body within the route's bound, after checking that its media
// type is the one wanted ("application/json").
func Body(r *http.Request, want string) ([]byte, error) {
	got := r.Header.Values("Content-Type")
	if len(got) != 1 {
		return nil, fault.New(fault.Malformed, "the request needs one Content-Type: %s", want)
	}
	if t, _, err := mime.ParseMediaType(got[0]); err != nil || t != want {
		return nil, fault.New(fault.Malformed, "Content-Type is %q: want %s", clip(got[0]), want)
	}
	b, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.Wrap(fault.TooLarge, err, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the body ended early")
	}
	return b, nil
}

// WriteJSON answers with v as JSON under status.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the answer does not encode")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is not an error of ours
	return nil
}
