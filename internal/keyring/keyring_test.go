package keyring_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/mod/sumdb/note"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/keyring"
)

const issuer = "https://ambit.test:8420"

func open(t *testing.T, dir string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(dir, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeysAreMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first := open(t, dir)
	second := open(t, dir)
	if !first.Fresh() || second.Fresh() {
		t.Error("Fresh must be true of the first start only")
	}
	if string(first.KeySet()) != string(second.KeySet()) || first.LogKey() != second.LogKey() {
		t.Error("the second start has other keys")
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want 2", len(entries))
	}
}

func TestTwoFirstStartsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	sets := make([]string, 4)
	var wg sync.WaitGroup
	for i := range sets {
		wg.Go(func() {
			if r, err := keyring.Open(dir, issuer); err == nil {
				sets[i] = string(r.KeySet()) + r.LogKey()
			} else {
				sets[i] = err.Error()
			}
		})
	}
	wg.Wait()
	for _, s := range sets {
		if s != sets[0] {
			t.Fatalf("two sets of keys:\n%s\n%s", s, sets[0])
		}
	}
}

func TestSignatures(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "keys"))
	token, err := r.SignJWT("at+jwt", []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.VerifyJWT("at+jwt", token); err != nil || string(b) != `{"a":1}` {
		t.Errorf("%s %v", b, err)
	}
	if _, err := r.VerifyJWT("jwt", token); err == nil {
		t.Error("verified under another typ")
	}
	if _, err := open(t, filepath.Join(t.TempDir(), "keys")).VerifyJWT("at+jwt", token); err == nil {
		t.Error("verified by another ring")
	}
	var set jose.JSONWebKeySet // another implementation reads the key set and verifies
	if err := json.Unmarshal(r.KeySet(), &set); err != nil || len(set.Keys) != 1 || !set.Keys[0].IsPublic() {
		t.Fatalf("%s %v", r.KeySet(), err)
	}
	j, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := j.Verify(set); err != nil || string(b) != `{"a":1}` {
		t.Errorf("go-jose: %s %v", b, err)
	}
	signed, err := note.Sign(&note.Note{Text: "ambit.test:8420/ledger\n1\nAAAA\n"}, r.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(r.LogKey())
	if err != nil || v.Name() != "ambit.test:8420/ledger" {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(v)); err != nil {
		t.Error(err)
	}
}

func TestAReplacedKeyStillVerifies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	old, _ := open(t, dir).SignJWT("at+jwt", []byte(`{}`))
	other := filepath.Join(t.TempDir(), "keys")
	open(t, other)
	b, err := os.ReadFile(filepath.Join(other, "token-0001.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token-0002.pem"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	if _, err := r.VerifyJWT("at+jwt", old); err != nil {
		t.Error("a token of the old key:", err)
	}
	fresh, _ := r.SignJWT("at+jwt", []byte(`{}`))
	if _, err := open(t, other).VerifyJWT("at+jwt", fresh); err != nil {
		t.Error("the new key does not sign:", err)
	}
	if strings.Count(string(r.KeySet()), `"kid"`) != 2 {
		t.Errorf("%s", r.KeySet())
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		issuer string
		spoil  func(dir string) error
	}{
		"token key readable by the group": {issuer, func(d string) error { return os.Chmod(filepath.Join(d, "token-0001.pem"), 0o640) }},
		"ledger key readable by all":      {issuer, func(d string) error { return os.Chmod(filepath.Join(d, "ledger.key"), 0o604) }},
		"directory open to the group":     {issuer, func(d string) error { return os.Chmod(d, 0o750) }},
		"another issuer":                  {"https://other.test", func(string) error { return nil }},
		"no issuer":                       {"", func(string) error { return nil }},
		"ledger key gone":                 {issuer, func(d string) error { return os.Remove(filepath.Join(d, "ledger.key")) }},
		"token key cut off":               {issuer, func(d string) error { return os.Truncate(filepath.Join(d, "token-0001.pem"), 40) }},
		"token key empty":                 {issuer, func(d string) error { return os.Truncate(filepath.Join(d, "token-0001.pem"), 0) }},
		"ledger key cut off":              {issuer, func(d string) error { return os.Truncate(filepath.Join(d, "ledger.key"), 60) }},
		"token key too large":             {issuer, func(d string) error { return os.Truncate(filepath.Join(d, "token-0001.pem"), 1<<20) }},
		"token key is a directory": {issuer, func(d string) error {
			return os.Mkdir(filepath.Join(d, "token-0002.pem"), 0o700)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			open(t, dir)
			secret, _ := os.ReadFile(filepath.Join(dir, "ledger.key"))
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := keyring.Open(dir, c.issuer)
			if fault.KindOf(err) != fault.Malformed {
				t.Fatalf("%v (%s), want malformed", err, fault.KindOf(err))
			}
			if strings.Contains(err.Error(), string(secret[40:60])) {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

func TestKeysAreNotShown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	r := open(t, dir)
	secret, _ := os.ReadFile(filepath.Join(dir, "ledger.key"))
	part := strings.TrimSpace(string(secret))
	part = part[len(part)-20:]
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("ring", "ring", r)
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r), log.String()} {
		if strings.Contains(s, part) || strings.Contains(s, "PRIVATE") {
			t.Errorf("a key is shown: %s", s)
		}
	}
}
