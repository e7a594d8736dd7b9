package route

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A Problem is RFC 9457's, with the fault's kind as code, the request's id and
// the next step. It holds nothing of a fault's cause.
type Problem struct {
	Type      string        `json:"type"` // about:blank: the status says it, code refines it
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail"`
	Code      string        `json:"code"`
	RequestID principal.UID `json:"request_id,omitempty"`
	Hint      string        `json:"hint,omitempty"`
}

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

var statuses = [...]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Malformed:       http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Exhausted:       http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Upstream:        http.StatusBadGateway,
}

// Status returns the HTTP status of a kind of fault.
func Status(k fault.Kind) int {
	if int(k) < len(statuses) && statuses[k] != 0 {
		return statuses[k]
	}
	return http.StatusInternalServerError
}

// ProblemOf returns err as a caller may see it.
func ProblemOf(r *http.Request, err error) Problem {
	return problemOf(r, Status(fault.KindOf(err)), err)
}

func problemOf(r *http.Request, status int, err error) Problem {
	message, hint := fault.Safe(err)
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: message,
		Code: fault.KindOf(err).String(), RequestID: RequestID(r.Context()), Hint: hint}
}

// WriteProblem renders err. A fault of kind Unauthenticated is rendered with its
// challenge, as Challenge sets it, unless the handler has set one.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) && fault.KindOf(err) == fault.Internal {
		err = fault.Wrap(fault.TooLarge, err, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if fault.KindOf(err) == fault.Unauthenticated && w.Header().Get("WWW-Authenticate") == "" {
		Challenge(w, err, "")
	}
	writeProblem(w, r, Status(fault.KindOf(err)), err)
}

func writeProblem(w http.ResponseWriter, r *http.Request, status int, err error) {
	b, merr := json.Marshal(problemOf(r, status, err))
	if merr != nil { // strings and numbers: cannot happen
		b = []byte(`{"type":"about:blank","status":500,"code":"internal"}`)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", ProblemType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is not an error of ours
}

// Challenge sets WWW-Authenticate for a request whose credential was absent or
// did not verify: one challenge for each scheme that is spoken (RFC 9449 section
// 7.1, RFC 6750 section 3), and DPoP-Nonce where err asks for a nonce. metadata
// is the URL of the protected resource's metadata (RFC 9728), "" for none.
// The OAuth error code comes from whatever in err's tree has
// OAuthCode() string; the nonce from DPoPNonce() string.
func Challenge(w http.ResponseWriter, err error, metadata string) {
	var params []string
	var coded interface {
		error
		OAuthCode() string
	}
	if errors.As(err, &coded) {
		message, _ := fault.Safe(err)
		params = append(params, `error="`+coded.OAuthCode()+`"`, `error_description="`+quoted(message)+`"`)
	}
	if metadata != "" {
		params = append(params, `resource_metadata="`+quoted(metadata)+`"`)
	}
	var nonce interface {
		error
		DPoPNonce() string
	}
	if errors.As(err, &nonce) {
		w.Header().Set("DPoP-Nonce", nonce.DPoPNonce())
	}
	w.Header().Set("WWW-Authenticate", "DPoP "+strings.Join(append([]string{`algs="ES256"`}, params...), ", "))
	if nonce == nil {
		w.Header().Add("WWW-Authenticate", strings.TrimSpace("Bearer "+strings.Join(params, ", ")))
	}
}

// quoted keeps of s what RFC 6749 section 5.2 allows in error_description:
// printable ASCII without '"' and '\'.
func quoted(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '·' || r == '—' || r == '–':
			return '-'
		case r < 0x20 || r > 0x7e || r == '\\':
			return '?'
		}
		return r
	}, s)
}

// Text returns s as the description of an OAuth error may carry it.
func Text(s string) string { return quoted(s) }
