// Package proof lets a stranger check Ambit's evidence without a server: that a
// ledger entry is in a signed log, that nothing of a run is missing, that every
// action's chain of delegation reaches a person's signature, and that each hop
// of it was narrower than the one above.
//
// It owns the formats that leave the house: the signed statement of a hop, the
// leaf of the ledger, and the evidence bundle. It refuses to know how the
// server stores or decides anything. It imports the standard library and
// golang.org/x/mod/sumdb only. All functions are pure and safe for concurrent
// use.
//
// # Evidence bundle
//
// A bundle is a zip archive of six stored members in this order. Whoever wants
// to verify one in another language needs this list, RFC 8785, RFC 7515 with
// ES256, RFC 6962 inclusion proofs, the C2SP signed note, and Verify's list of
// checks.
//
//	checkpoint        signed note: origin, size, root
//	entries.jsonl     {"leaf":{…},"payload":…,"proof":["…"],"salt":"…"} in index order
//	keys.jsonl        {"entry":"ent_…","jwk":{…},"uid":"usr_…"}
//	log.key           the log's verifier key, one line
//	manifest.json     {"format":"ambit-evidence","members":{name: sha256 in hex},"version":1}
//	statements.jsonl  a compact JWS a line
//
// Hashes, proofs and salts are base64url without padding. A payload's bytes are
// exactly those between "payload": and ,"proof": for its commitment is over them.
package proof
