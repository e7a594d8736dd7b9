package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// demoShape are the lines that the story must have, in this order. What stands
// between them is not compared.
var demoShape = []string{
	`^Ambit \d+\.\d+\.\d+ · embedded store · throw-away data · nothing leaves this machine$`,
	`^  1  clinician signs a mission for the assistant: "draft the discharge note for encounter E1" +\d+\.\d ms$`,
	`^     authority  read records of patient P1 · write notes of E1 · while E1 is open · until \d\d:\d\d UTC · 40 calls$`,
	`^  2  assistant proves itself with a key that only its process holds, and takes the mission +\d+\.\d ms$`,
	`two: read, write_note$`,
	`^  3  assistant → records\.read P1/labs +ALLOW +clinician: care team of P1 · assistant: within the mission`,
	`^  4  assistant → records\.read P2/labs +DENY +link 1, assistant · ceiling: `,
	`^  5  assistant delegates to a sub-agent, .* read only, P1, 10 minutes`,
	`^     sub-agent → records\.read P1/vitals +ALLOW +clinician: care team of P1 · sub-agent: within the delegation`,
	`^  6  sub-agent → records\.write_note E1 +DENY +link 2, sub-agent · ceiling: `,
	`^     assistant → records\.write_note E1 +ALLOW `,
	`^  7  clinician leaves the care team of P1$`,
	`^     sub-agent → records\.read P1/vitals +DENY +link 0, clinician · entitlement: `,
	`^     clinician is back on the care team$`,
	`^     sub-agent → records\.read P1/vitals +ALLOW `,
	`^     encounter E1 is closed$`,
	`^     sub-agent → records\.read P1/vitals +DENY +link 1, assistant · mandate: encounter E1 is closed +\d+\.\d ms after it$`,
	`^  8  what happened, and why`,
	`^     clinician asked assistant to draft the discharge note for encounter E1 +entry \d+$`,
	`^     ├─ assistant read patient P1 .* entry \d+ → \d+$`,
	`^     ├─ assistant was refused records\.read on patient P2`,
	`^     │  ├─ read patient P1 with records\.read`,
	`^     │  ├─ was refused records\.write_note on encounter E1`,
	`encounter E1 was closed`,
	`^     4 calls reached the records server, each with an ALLOW; none of the 4 refused did$`,
	`^  9  verified offline +VALID +\d+ entries, none missing, 1 checkpoint`,
	`^     the chain of every action reaches the clinician's signature`,
	`^     the same with one bit changed +REFUSED `,
}

// TestDemo builds the product, as people do, and runs its story: in seconds, in
// 120 columns, without a secret on the screen, and leaving nothing behind.
func TestDemo(t *testing.T) {
	ambit := filepath.Join(t.TempDir(), "ambit")
	build := exec.Command("go", "build", "-o", ambit, "../../cmd/ambit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Run("story", func(t *testing.T) { demoStory(t, ambit) })
	t.Run("interrupted", func(t *testing.T) { demoInterrupted(t, ambit) })
	t.Run("keep", func(t *testing.T) { demoKeep(t, ambit) })
}

// demo returns the command, and the folder that it has for its files.
func demo(t *testing.T, ambit string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	tmp := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, ambit, append([]string{"demo"}, args...)...)
	// Settings of whoever runs it are not the story's.
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "AMBIT_URL=http://127.0.0.1:1", "AMBIT_USER=nobody")
	return cmd, tmp
}

func demoStory(t *testing.T, ambit string) {
	cmd, tmp := demo(t, ambit)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", &stderr)
	}
	text := stdout.String()
	shape := demoShape
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\n")
		if n := utf8.RuneCountInString(l); n > 120 {
			t.Errorf("%d columns: %s", n, l)
		}
		if len(shape) > 0 && regexp.MustCompile(shape[0]).MatchString(l) {
			shape = shape[1:]
		}
	}
	if len(shape) > 0 {
		t.Errorf("there is no line, in its place, like\n%s\nin\n%s", shape[0], text)
	}
	for _, never := range []string{"\x1b", "eyJ", "Bearer", `"d":`} {
		if strings.Contains(text, never) {
			t.Errorf("%q is on the screen", never)
		}
	}
	nothingLeft(t, tmp)
}

// demoInterrupted ends it early, at several moments.
func demoInterrupted(t *testing.T, ambit string) {
	for _, after := range []time.Duration{20, 80, 150, 220} {
		cmd, tmp := demo(t, ambit)
		var both bytes.Buffer
		cmd.Stdout, cmd.Stderr = &both, &both
		must(t, cmd.Start())
		time.Sleep(after * time.Millisecond)
		must(t, cmd.Process.Signal(syscall.SIGINT))
		err := cmd.Wait()
		// It may have been over, or not yet listening, when the signal came.
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 130 && exit.ExitCode() != -1) {
			t.Errorf("interrupted after %d ms: %v\n%s", after, err, &both)
		}
		nothingLeft(t, tmp)
	}
}

// demoKeep looks around after the story, and ends it.
func demoKeep(t *testing.T, ambit string) {
	cmd, tmp := demo(t, ambit, "--keep")
	out, err := cmd.StdoutPipe()
	must(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	said := map[string]string{}
	lines := bufio.NewScanner(out)
	for said["then"] == "" && lines.Scan() {
		if label, rest, ok := strings.Cut(strings.TrimSpace(lines.Text()), "  "); ok {
			said[label] = strings.TrimSpace(rest)
		}
	}
	if said["then"] == "" {
		t.Fatalf("it ended before it said how to look around: %v\n%s", cmd.Wait(), &stderr)
	}
	res, err := http.Get(said["server"] + "/readyz")
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the server says %s", res.Status)
	}
	config, _, _ := strings.Cut(strings.TrimPrefix(said["sign in"], "export AMBIT_CONFIG_DIR="), " ")
	look := exec.Command(ambit, strings.Fields(said["then"])[1:]...)
	look.Env = append(os.Environ(), "AMBIT_CONFIG_DIR="+config)
	if text, err := look.CombinedOutput(); err != nil || !strings.Contains(string(text), "clinician asked assistant") {
		t.Errorf("%s: %v\n%s", said["then"], err, text)
	}
	must(t, cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, &stderr)
	}
	nothingLeft(t, tmp)
}

// nothingLeft fails when a process or a file of a demo in tmp is still there.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	files, err := os.ReadDir(tmp)
	must(t, err)
	if len(files) > 0 {
		t.Errorf("files are left: %v", files)
	}
	if runtime.GOOS != "linux" {
		return
	}
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	must(t, err)
	for _, p := range processes {
		env, err := os.ReadFile(p)
		if err != nil {
			continue // somebody else's, or gone
		}
		if bytes.Contains(env, []byte("TMPDIR="+tmp+"\x00")) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
			t.Errorf("a process is left: %q", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}
