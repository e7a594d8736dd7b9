package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
)

// The files of a key directory. Every token-*.pem verifies; the last by name
// signs. To replace the key, add token-0002.pem and start again; once the tokens
// of the old one have expired, five minutes later, remove it.
const (
	tokenPattern = "token-*.pem"
	firstToken   = "token-0001.pem"
	ledgerFile   = "ledger.key"
	pemType      = "PRIVATE KEY" // PKCS #8
)

// A Ring is the keys of one tenant. It never changes once opened and is safe for
// concurrent use. It prints as the ids of its keys.
type Ring struct {
	kid     string // of the key that signs
	sign    *ecdsa.PrivateKey
	verify  map[string]*ecdsa.PublicKey
	set     []byte
	note    note.Signer
	noteKey string
	fresh   bool
}

var _ credential.Signer = (*Ring)(nil)

// Open reads the keys in dir and makes those that are absent. The checkpoint
// key is named "<issuer host>/ledger" for ever: a ledger that changed its name
// would not be the same log to anybody who pinned it, so opening it under
// another issuer fails.
func Open(dir, issuer string) (*Ring, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return nil, fault.New(fault.Malformed, "issuer %q has no host to name the ledger by", issuer)
	}
	if err := prepare(dir); err != nil {
		return nil, err
	}
	r := &Ring{verify: map[string]*ecdsa.PublicKey{}}
	names, err := filepath.Glob(filepath.Join(globQuote(dir), tokenPattern))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "key directory %s cannot be listed", dir)
	}
	// The ledger's key is made first, so a directory with token keys had one.
	if err := r.openLedger(filepath.Join(dir, ledgerFile), u.Host+"/ledger", len(names) == 0); err != nil {
		return nil, err
	}
	if err := r.openTokens(dir, names); err != nil {
		return nil, err
	}
	return r, nil
}

// openTokens reads the token keys of names in their order, or makes the first.
func (r *Ring) openTokens(dir string, names []string) (err error) {
	slices.Sort(names)
	if len(names) == 0 {
		names = []string{filepath.Join(dir, firstToken)}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for _, name := range names {
		b, made, err := readOrCreate(name, newToken)
		if err != nil {
			return unreadable(name, err)
		}
		key, err := parseToken(b)
		if err != nil {
			return unreadable(name, err)
		}
		jwk := proof.PublicJWK(&key.PublicKey)
		kid := proof.Hash(jwk)
		r.kid, r.sign, r.fresh = kid, key, made
		r.verify[kid] = &key.PublicKey
		public := append(slices.Clone(jwk[:len(jwk)-1]), `,"alg":"ES256","kid":"`+kid+`","use":"sig"}`...)
		set.Keys = append(set.Keys, public)
	}
	r.set, err = json.Marshal(set)
	return err
}

// openLedger reads the checkpoint key, or makes it at a first start.
func (r *Ring) openLedger(path, name string, first bool) error {
	b, _, err := readOrCreate(path, func() ([]byte, error) {
		if !first {
			return nil, errors.New("it is gone, and a new one would not continue the ledger")
		}
		secret, _, err := note.GenerateKey(rand.Reader, name)
		return []byte(secret + "\n"), err
	})
	if err != nil {
		return unreadable(path, err)
	}
	secret := strings.TrimSuffix(string(b), "\n")
	if r.note, err = note.NewSigner(secret); err != nil {
		return unreadable(path, errors.New("not a signed-note private key")) // note's error could quote it
	}
	if r.note.Name() != name {
		return fault.New(fault.Malformed, "key file %s signs checkpoints of %q, but the issuer makes it %q", path, r.note.Name(), name).
			WithHint("start with the issuer that this data directory was made with, or use another directory")
	}
	if r.noteKey, err = verifierOf(secret); err != nil {
		return unreadable(path, err)
	}
	return nil
}

// unreadable is a key file that cannot be used; err may be an operating system's.
func unreadable(path string, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(fault.Internal, err, "key file %s cannot be read by uid %d", path, os.Getuid())
	}
	return fault.Wrap(fault.Malformed, err, "key file %s cannot be used", path).
		WithHint("restore it from a backup; a new key would end every token and, for the ledger, every pin")
}

// newToken returns a fresh P-256 key as a PEM file.
func newToken() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// parseToken reads one PEM block that holds a P-256 key and nothing else.
func parseToken(b []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(strings.TrimSpace(string(rest))) != 0 {
		return nil, errors.New("want one PEM block of type " + pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("want a PKCS #8 private key")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("want an EC key on P-256")
	}
	return key, nil
}

// globQuote keeps a directory's own name from being a pattern.
func globQuote(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// SignJWT returns the compact JWS of claims under typ: {alg ES256, kid, typ}.
func (r *Ring) SignJWT(typ string, claims []byte) (string, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{"ES256", r.kid, typ})
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "a token header does not encode")
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(header) + "." + b64.EncodeToString(claims)
	sum := sha256.Sum256([]byte(input))
	x, y, err := ecdsa.Sign(rand.Reader, r.sign, sum[:])
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "a token cannot be signed")
	}
	var sig [64]byte // RFC 7518 section 3.4: r and s, 32 bytes each
	x.FillBytes(sig[:32])
	y.FillBytes(sig[32:])
	return input + "." + b64.EncodeToString(sig[:]), nil
}

// VerifyJWT returns the claims of a compact JWS of exactly this typ that one of
// the ring's keys signed.
func (r *Ring) VerifyJWT(typ, compact string) ([]byte, error) {
	return credential.Open(compact, typ, func(kid string) *ecdsa.PublicKey { return r.verify[kid] })
}

// KeySet returns the public token keys as a JWK Set (RFC 7517).
func (r *Ring) KeySet() []byte { return slices.Clone(r.set) }

// Checkpoint returns the signer of the ledger's checkpoints.
func (r *Ring) Checkpoint() note.Signer { return r.note }

// LogKey returns the verifier key of the ledger's checkpoints, as
// note.NewVerifier takes it and as auditors pin it.
func (r *Ring) LogKey() string { return r.noteKey }

// Fresh reports whether Open made the token key: then no process before this one
// can have accepted a token of it, nor a proof bound to one.
func (r *Ring) Fresh() bool { return r.fresh }

// String names the keys, never shows them.
func (r *Ring) String() string { return "keys " + r.kid + " and " + r.noteKey }

// GoString keeps keys out of %#v.
func (r *Ring) GoString() string { return r.String() }

// LogValue keeps keys out of logs.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// verifierOf returns the public half of a note key, "PRIVATE+KEY+name+hash+key"
// (C2SP signed-note). note.NewSigner has accepted secret before.
func verifierOf(secret string) (string, error) {
	parts := strings.SplitN(secret, "+", 5) // base64 may hold a + of its own
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 5 || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("not a signed-note private key")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("not an Ed25519 key")
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}
