//go:build unix

package secret

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
)

const canary = "s3cr3t-canary"

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	link, fifo := filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := os.Symlink(write("target", canary, 0o400), link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TOKEN": canary, "EMPTY": "", "LINES": canary + "\nX-Injected: 1"}
	s := Source{Lookup: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
	file := func(p string) mapping.Secret { return mapping.Secret{FromFile: p} }

	tests := []struct {
		name string
		ref  mapping.Secret
		want string
		kind fault.Kind // of the refusal, when want is ""
	}{
		{"value", mapping.Secret{Value: "plain"}, "plain", 0},
		{"variable", mapping.Secret{FromEnv: "TOKEN", Prefix: "Bearer "}, canary, 0},
		{"file", file(write("plain", canary, 0o600)), canary, 0},
		{"one line break is dropped", file(write("nl", canary+"\n", 0o640)), canary, 0},
		{"one CRLF is dropped", file(write("crlf", canary+"\r\n", 0o600)), canary, 0},
		{"link", file(link), canary, 0},
		{"largest", file(write("largest", strings.Repeat("x", maxFile), 0o600)), strings.Repeat("x", maxFile), 0},
		{"two line breaks", file(write("two", canary+"\n\n", 0o600)), "", fault.Unavailable},
		{"NUL", file(write("nul", canary+"\x00", 0o600)), "", fault.Unavailable},
		{"too large", file(write("large", strings.Repeat("x", maxFile+1), 0o600)), "", fault.Unavailable},
		{"world-readable", file(write("world", canary, 0o644)), "", fault.Unavailable},
		{"world-writable", file(write("writable", canary, 0o602)), "", fault.Unavailable},
		{"empty file", file(write("empty", "\n", 0o600)), "", fault.Unavailable},
		{"missing file", file(filepath.Join(dir, "none")), "", fault.Unavailable},
		{"directory", file(dir), "", fault.Unavailable},
		{"named pipe", file(fifo), "", fault.Unavailable},
		{"relative path", file("secret.txt"), "", fault.Malformed},
		{"unset variable", mapping.Secret{FromEnv: "NONE"}, "", fault.Unavailable},
		{"empty variable", mapping.Secret{FromEnv: "EMPTY"}, "", fault.Unavailable},
		{"header injection", mapping.Secret{FromEnv: "LINES"}, "", fault.Unavailable},
		{"two references", mapping.Secret{FromEnv: "TOKEN", FromFile: link}, "", fault.Malformed},
		{"value and reference", mapping.Secret{Value: canary, FromEnv: "TOKEN"}, "", fault.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Resolve(t.Context(), tt.ref)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			if err == nil {
				return
			}
			if fault.KindOf(err) != tt.kind {
				t.Errorf("kind %v, want %v", fault.KindOf(err), tt.kind)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// What is rotated counts from the next call on.
func TestNothingIsKept(t *testing.T) {
	p := filepath.Join(t.TempDir(), "s")
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(p, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := (Source{}).Resolve(t.Context(), mapping.Secret{FromFile: p}); got != want || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Source{}).Resolve(ended, mapping.Secret{FromFile: p}); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}
