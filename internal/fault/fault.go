package fault

import (
	"errors"
	"fmt"
)

// A Kind is the class of a fault. The list may grow at its end; kinds are
// never reordered or reused, because they cross the wire by name.
type Kind uint8

const (
	// Internal is everything nobody foresaw. It is the zero value on purpose:
	// an error that was not classified says nothing to the caller.
	Internal Kind = iota
	// Malformed input: it does not parse, or breaks a stated rule.
	Malformed
	// Unauthenticated: no credential, or one that does not verify.
	Unauthenticated
	// Denied: a known subject may not do this. Carries no detail of its own;
	// the verdict does.
	Denied
	// NotFound: no such object, or none that the caller may know of.
	NotFound
	// Conflict: the object changed since it was read, or already exists.
	Conflict
	// TooLarge: a bound on size, count or depth was passed.
	TooLarge
	// Exhausted: a limit of rate or budget was reached.
	Exhausted
	// Unavailable: cannot be answered safely now; the same request may be
	// retried. A stale replica answers this, never an allow.
	Unavailable
	// Upstream: a server behind Ambit failed or answered nonsense.
	Upstream
)

var names = [...]string{"internal", "malformed", "unauthenticated", "denied", "not_found",
	"conflict", "too_large", "exhausted", "unavailable", "upstream"}

// String returns the stable name of k, as faces put it on the wire.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[Internal]
}

// An Error is a fault. Message is safe to show to whoever asked: it names what,
// where and why, and holds no secret. Hint is the next step, if there is one.
// Cause is for the operator's log and is never rendered to a caller.
type Error struct {
	Kind    Kind
	Message string
	Hint    string
	Cause   error
}

// Error returns the full text including the cause: for operators and tests.
// Faces render Message and Hint, not this.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns a fault of kind k with a safe message.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns a fault of kind k whose cause is err. The message must be safe;
// err need not be.
func Wrap(k Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), Cause: err}
}

// WithHint returns a copy of e that names the next step.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// KindOf returns the kind of the outermost fault in err's tree, and Internal
// for every other error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Safe returns what may be shown to the caller: the message and hint of the
// outermost fault, or a fixed sentence that reveals nothing.
func Safe(err error) (message, hint string) {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Internal {
		return e.Message, e.Hint
	}
	return "internal error; the server's log has the details under this request's id", ""
}
