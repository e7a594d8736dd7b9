package credential

import "github.com/ambit-iam/ambit/internal/fault"

// A Code is an OAuth error code. The faults of this room and of the spine wrap
// one, so that errors.Is(err, ErrInvalidGrant) holds and the OAuth face has
// nothing to guess.
type Code string

// The codes and where they come from.
const (
	ErrInvalidRequest   Code = "invalid_request"               // RFC 6749 section 5.2; RFC 8693 section 2.2.2 for subject and actor tokens
	ErrInvalidClient    Code = "invalid_client"                // RFC 6749
	ErrInvalidGrant     Code = "invalid_grant"                 // RFC 6749; RFC 7523 section 3.1 for assertions
	ErrUnsupportedGrant Code = "unsupported_grant_type"        // RFC 6749
	ErrUnauthorized     Code = "access_denied"                 // RFC 6749 section 4.1.2.1: decided, and refused
	ErrInvalidTarget    Code = "invalid_target"                // RFC 8707
	ErrInvalidDetails   Code = "invalid_authorization_details" // RFC 9396
	ErrInvalidDPoPProof Code = "invalid_dpop_proof"            // RFC 9449
	ErrUseNonce         Code = "use_dpop_nonce"                // RFC 9449 section 8
	ErrInvalidToken     Code = "invalid_token"                 // RFC 6750: at a resource
)

// Error returns the code.
func (c Code) Error() string { return string(c) }

// OAuthCode returns the code; faces that may not know this room ask for it by
// this method.
func (c Code) OAuthCode() string { return string(c) }

// A NonceRequired is the cause of a refusal that a fresh proof with Nonce in its
// claims will not meet again (RFC 9449 section 8).
type NonceRequired struct{ Nonce string }

// Error names the code; the nonce is public but belongs in its header.
func (n *NonceRequired) Error() string { return string(ErrUseNonce) }

// Unwrap returns ErrUseNonce.
func (n *NonceRequired) Unwrap() error { return ErrUseNonce }

// DPoPNonce returns the nonce for the DPoP-Nonce header.
func (n *NonceRequired) DPoPNonce() string { return n.Nonce }

// Refuse returns the fault of a credential that does not count: of kind
// Unauthenticated, with code as its cause. The text names what is wrong with it
// and never repeats it.
func Refuse(code Code, format string, args ...any) error {
	return fault.Wrap(fault.Unauthenticated, code, format, args...)
}
