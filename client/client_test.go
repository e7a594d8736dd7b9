package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
	evidence "github.com/ambit-iam/ambit/proof"
)

func TestKey(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if jkt, err := evidence.Thumbprint(k.Public()); err != nil || jkt != k.Thumbprint() {
		t.Fatalf("thumbprint %s, want %s: %v", k.Thumbprint(), jkt, err)
	}
	path := filepath.Join(t.TempDir(), "deep", "k.jwk")
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	if k.Save(path) == nil {
		t.Error("a key was overwritten")
	}
	again, err := LoadKey(path)
	if err != nil || again.Thumbprint() != k.Thumbprint() {
		t.Fatalf("loaded %v: %v", again, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
}

func TestUID(t *testing.T) {
	a, b := newUID("agt"), newUID("agt")
	if _, err := principal.Parse(a); err != nil || a == b {
		t.Fatalf("%s %s: %v", a, b, err)
	}
}

// claims reads a compact JWS without verifying it.
func claims(t *testing.T, compact string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a compact JWS", compact)
	}
	for i, into := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// a server that demands a nonce once, at the token endpoint and at the resource.
func demanding(t *testing.T) (*httptest.Server, *[]string) {
	var seen []string
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		_, c := claims(t, r.Header.Get("DPoP"))
		if c["nonce"] != "n1" {
			w.Header().Set("DPoP-Nonce", "n1")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"use_dpop_nonce"}`)
			return
		}
		seen = append(seen, r.FormValue("client_assertion"))
		fmt.Fprint(w, `{"access_token":"t1","token_type":"DPoP","expires_in":300,"mission":"msn_x"}`)
	})
	mux.HandleFunc("POST /mcp/records", func(w http.ResponseWriter, r *http.Request) {
		h, c := claims(t, r.Header.Get("DPoP"))
		if r.Header.Get("Authorization") != "DPoP t1" || h["typ"] != "dpop+jwt" || c["ath"] == nil || c["htm"] != "POST" {
			t.Errorf("request without token and proof: %v %v", h, c)
		}
		if c["nonce"] != "n2" {
			w.Header().Set("DPoP-Nonce", "n2")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s", b)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s, &seen
}

// TestNonce: a demand for a nonce is met once, with a fresh proof and the same
// body; every assertion is used once.
func TestNonce(t *testing.T) {
	s, seen := demanding(t)
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	m, err := (&Agent{Issuer: s.URL, ID: newUID("agt"), Key: k}).Take(context.Background(), "statement", "records")
	if err != nil {
		t.Fatal(err)
	}
	if m.ID() != "msn_x" || len(*seen) != 1 {
		t.Fatalf("%s after %d exchanges", m.ID(), len(*seen))
	}
	for range 2 {
		res, err := m.HTTPClient("records").Post(s.URL+"/mcp/records?x=1", "application/json", strings.NewReader(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(b) != `{"a":1}` {
			t.Fatalf("%s %v", b, err)
		}
	}
}

// TestRefusal: what the server says reaches the caller whole.
func TestRefusal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"title":"Forbidden","detail":"denied: link 0","code":"denied","hint":"ask","decision":{"link":0}}`)
	}))
	defer s.Close()
	err := (&Person{Issuer: s.URL, Access: "t"}).Do(context.Background(), "GET", "/api/v1/whoami", nil, nil)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != "denied" || e.Message != "denied: link 0" || e.Hint != "ask" || string(e.Decision) != `{"link":0}` {
		t.Fatalf("%#v", err)
	}
}

// TestHop: the parent signs who, what, for how long and under which key.
func TestHop(t *testing.T) {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	parent, child := &Agent{Issuer: "https://a.test", ID: newUID("agt"), Key: k}, newUID("agt")
	root, err := k.Sign("ambit-hop+jwt", map[string]any{"depth": 1, "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	m := &Mission{agent: parent, statement: root}
	jws, err := m.hop(Offer{ID: child, JKT: k.Thumbprint()}, Narrow{Blueprint: newUID("bpr"), Authority: json.RawMessage(`[]`), For: time.Minute},
		Token{Mission: newUID("msn")})
	if err != nil {
		t.Fatal(err)
	}
	st, err := evidence.VerifyStatement(jws, k.Public())
	if err != nil || st.Subject != child || st.Depth != 2 || st.Parent != evidence.Commitment(root) || st.Confirm.JKT != k.Thumbprint() {
		t.Fatalf("%+v %v", st, err)
	}
}
