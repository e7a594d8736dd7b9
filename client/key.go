package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Key is a P-256 signing key (ES256). Its private half never leaves it except
// into the file that Save writes.
type Key struct {
	private *ecdsa.PrivateKey
	public  []byte // canonical public JWK
	jkt     string
}

// b64 is how JOSE writes bytes (RFC 7515 section 2).
func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// NewKey returns a fresh key.
func NewKey() (*Key, error) {
	p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return keyOf(p)
}

func keyOf(p *ecdsa.PrivateKey) (*Key, error) {
	point, err := p.PublicKey.Bytes() // 0x04 ‖ x ‖ y
	if err != nil {
		return nil, err
	}
	// Members in the order of RFC 7638, so that the bytes are the thumbprint's.
	public := fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:]))
	sum := sha256.Sum256(public)
	return &Key{p, public, b64(sum[:])}, nil
}

// Public returns the public key as a JWK.
func (k *Key) Public() json.RawMessage { return append([]byte(nil), k.public...) }

// Thumbprint returns the key's RFC 7638 thumbprint, its kid everywhere.
func (k *Key) Thumbprint() string { return k.jkt }

// LoadKey reads the private JWK that Save wrote. It refuses a file that others
// may read.
func LoadKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s is readable by others (mode %o): chmod 600 it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var j struct{ Kty, Crv, X, Y, D string }
	if err := json.Unmarshal(b, &j); err != nil || j.Kty != "EC" || j.Crv != "P-256" {
		return nil, fmt.Errorf("key file %s does not hold a private P-256 JWK", path)
	}
	d, err := base64.RawURLEncoding.DecodeString(j.D)
	if err != nil || len(d) != 32 {
		return nil, fmt.Errorf("key file %s does not hold a private P-256 JWK", path)
	}
	p, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, fmt.Errorf("key file %s does not hold a private P-256 JWK", path)
	}
	return keyOf(p)
}

// Save writes the private key to a new file of mode 0600.
func (k *Key) Save(path string) error {
	d, err := k.private.Bytes()
	if err != nil {
		return err
	}
	var pub struct{ X, Y string }
	if err := json.Unmarshal(k.public, &pub); err != nil {
		return err
	}
	b := fmt.Appendf(nil, `{"crv":"P-256","d":"%s","kty":"EC","x":"%s","y":"%s"}`+"\n", b64(d), pub.X, pub.Y)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already; a key is never overwritten", path)
		}
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// Sign returns the compact JWS (RFC 7515, ES256) of claims under typ, with the
// key's thumbprint as kid.
func (k *Key) Sign(typ string, claims any) (string, error) {
	return k.sign(fmt.Sprintf(`{"alg":"ES256","kid":"%s","typ":"%s"}`, k.jkt, typ), claims)
}

// signOpen signs with the public key itself in the header, for verifiers that
// have not met it: DPoP proofs, and the actor token of a new sub-agent.
func (k *Key) signOpen(typ string, claims any) (string, error) {
	return k.sign(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"typ":"%s"}`, k.public, typ), claims)
}

func (k *Key) sign(header string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := b64([]byte(header)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(sig), nil
}
