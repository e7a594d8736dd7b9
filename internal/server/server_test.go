package server

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
)

// TestRun: the ready file appears whole once the server serves, the server
// answers health, and it stops when told to and starts again as the same issuer.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	issuer := ""
	for range 2 {
		ready := filepath.Join(t.TempDir(), "ready")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		listen := "127.0.0.1:0"
		if issuer != "" {
			listen = strings.TrimPrefix(issuer, "http://")
		}
		go func() { ended <- Run(ctx, Config{Data: dir, Listen: listen, ReadyFile: ready}) }()
		var at struct{ URL, Issuer string }
		for start := time.Now(); at.URL == "" && time.Since(start) < 10*time.Second; time.Sleep(time.Millisecond) {
			if b, err := os.ReadFile(ready); err == nil {
				if err := json.Unmarshal(b, &at); err != nil {
					t.Fatal(err)
				}
			}
		}
		if issuer != "" && at.Issuer != issuer {
			t.Fatalf("issuer %q became %q", issuer, at.Issuer)
		}
		issuer = at.Issuer
		for _, path := range []string{"/healthz", "/readyz", "/.well-known/oauth-authorization-server", "/openapi.json"} {
			res, err := http.Get(at.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, res.Status)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatalf("stopped with %v", err)
		}
	}
	// Another address is another issuer, and what was signed would not verify.
	if err := Run(t.Context(), Config{Data: dir, Listen: "127.0.0.1:0"}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("another issuer on the same data: %v", err)
	}
}

// TestEveryAddress: who listens everywhere must say what it is called.
func TestEveryAddress(t *testing.T) {
	err := Run(t.Context(), Config{Data: t.TempDir(), Listen: "0.0.0.0:0"})
	if fault.KindOf(err) != fault.Malformed || !strings.Contains(err.Error(), "issuer") {
		t.Errorf("%v", err)
	}
}
