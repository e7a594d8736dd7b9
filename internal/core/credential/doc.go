// Package credential is the room of credentials: what may be issued to whom, for
// how long, bound to which key, and when one that is presented counts.
//
// It owns the claims of access tokens (RFC 9068, with act, authorization_details,
// mission and dlg), of client assertions and actor tokens, DPoP proofs (RFC 9449)
// and the rules that verify them: strict typ, one audience, an allow-list of
// algorithms, key binding, single use. It refuses to hold private keys: a Signer
// does, in keyring. Called by enforce.
package credential
