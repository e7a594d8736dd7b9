// Package admin is the door to the management API: /api/v1 and its description in
// OpenAPI 3.1 at /openapi.json.
//
// It owns the resources' shapes on the wire and which operation is which action
// of the spine. It refuses to decide or to know handles: the spine resolves them.
// A body is parsed strictly (no unknown, repeated or differently cased member)
// and validated against the schema that is published; every refusal is an
// RFC 9457 problem, with the decision in it where one was made.
package admin
