// Package keyring holds the tenant's private keys in files: the ES256 key that
// signs access tokens and the Ed25519 key that signs checkpoints of the ledger.
//
// It owns their files (made at the first start, mode 0600, refused when anybody
// else may read them), their names (RFC 7638 thumbprints; the note key's C2SP
// hash), and signing. It implements credential.Signer and gives the ledger its
// note.Signer. It refuses to hand out, print or log a private key. Wired by
// server.
package keyring
