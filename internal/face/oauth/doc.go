// Package oauth is the door to the token endpoint: RFC 6749, 7523, 8693, 8707 and
// 9449 on the wire, and the metadata that says so (RFC 8414).
//
// It owns the form: what a token request may carry, how often, and how a refusal
// is spelled in OAuth's words. It refuses to know who may have a token: it hands
// an enforce.Exchange to the spine and renders what comes back. Whatever a
// request carries that would have narrowed the token elsewhere and means nothing
// here (scope, audience, authorization_details) is refused, never ignored.
package oauth
