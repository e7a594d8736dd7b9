package oauth

import (
	"errors"
	"net/http"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
)

// A refusal is RFC 6749 section 5.2, with the request's id and, where something
// was decided, the decision: which link, which stage, what next.
type refusal struct {
	Error       string            `json:"error"`
	Description string            `json:"error_description"`
	RequestID   principal.UID     `json:"request_id,omitempty"`
	Decision    *enforce.Decision `json:"decision,omitempty"`
}

// refuse renders err. Faults that nobody foresaw go back to the mux, which logs
// them and says nothing.
func refuse(w http.ResponseWriter, r *http.Request, err error) error {
	status, code := spell(err)
	if status == 0 {
		return err
	}
	message, hint := fault.Safe(err)
	if hint != "" {
		message += "; " + hint
	}
	out := refusal{Error: code, Description: route.Text(message), RequestID: route.RequestID(r.Context())}
	if denied, ok := errors.AsType[*enforce.Denied](err); ok {
		out.Decision = &denied.Decision
	}
	if n, ok := errors.AsType[*credential.NonceRequired](err); ok {
		w.Header().Set("DPoP-Nonce", n.Nonce)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Pragma", "no-cache")
	return route.WriteJSON(w, status, out)
}

// spell returns the status and error code of err, 0 for an internal fault.
// RFC 6749 answers 400 to everything but invalid_client. That one is a 401
// without WWW-Authenticate: no HTTP authentication scheme is offered here.
func spell(err error) (int, string) {
	kind := fault.KindOf(err)
	switch kind {
	case fault.Internal:
		return 0, ""
	case fault.Unavailable, fault.Exhausted:
		return route.Status(kind), "temporarily_unavailable"
	case fault.TooLarge:
		return route.Status(kind), string(credential.ErrInvalidRequest)
	}
	code, ok := errors.AsType[credential.Code](err)
	switch {
	case ok && code == credential.ErrInvalidClient:
		return http.StatusUnauthorized, string(code)
	case ok && code == credential.ErrInvalidToken: // a resource's word; here a grant is what does not hold
		return http.StatusBadRequest, string(credential.ErrInvalidGrant)
	case ok:
		return http.StatusBadRequest, string(code)
	case kind == fault.Malformed:
		return http.StatusBadRequest, string(credential.ErrInvalidRequest)
	case kind == fault.Denied:
		return http.StatusBadRequest, string(credential.ErrUnauthorized)
	}
	return http.StatusBadRequest, string(credential.ErrInvalidGrant)
}
