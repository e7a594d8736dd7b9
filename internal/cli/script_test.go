package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ambit": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) },
		"call":  func() { os.Exit(callMain(os.Args[1:])) },
	})
}

// TestScripts runs the command line against servers of its own. Beside the
// commands of testscript they have
//
//	ambit, call                 the binary; an agent that calls one tool
//	serving FILE                wait for a ready file and put its url into AMBIT_URL
//	exits CODE COMMAND…         run a command that must exit with a code
//	take NAME [FIELD]           put the last stdout, or a field of its JSON, into a variable
//	flip FILE                   flip one bit in the middle
//	fill FILE                   put variables in place of $NAME in a file
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("AMBIT_CONFIG_DIR", filepath.Join(e.WorkDir, "config"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serving": scriptServing, "exits": scriptExits, "take": scriptTake, "flip": scriptFlip, "fill": scriptFill,
		},
	})
}

func scriptServing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serving FILE")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		var v struct{ URL string }
		if err == nil && json.Unmarshal(b, &v) == nil && v.URL != "" {
			ts.Setenv("AMBIT_URL", v.URL)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no server wrote %s", args[0])
		}
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		code = e.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%s exited with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

func scriptTake(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: take NAME [FIELD]")
	}
	out := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 2 {
		var v map[string]any
		ts.Check(json.Unmarshal([]byte(out), &v))
		out = fmt.Sprint(v[args[1]])
	}
	ts.Setenv(args[0], out)
}

func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(path, b, 0o600))
}

func scriptFill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(os.Expand(string(b), ts.Getenv)), 0o600))
}

// callMain is an agent: call KEY STATEMENT SERVER TOOL ARGUMENTS takes the
// mission and prints the gateway's answer to one call.
func callMain(args []string) int {
	if len(args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: call KEY STATEMENT SERVER TOOL ARGUMENTS")
		return 2
	}
	err := call(args[0], args[1], args[2], args[3], args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func call(key, statement, server, tool, arguments string) error {
	text, err := os.ReadFile(statement)
	if err != nil {
		return err
	}
	compact := strings.TrimSpace(string(text))
	me, err := actingAs(compact, "", key)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	m, err := me.Take(ctx, compact, server)
	if err != nil {
		return err
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, me.Issuer+"/mcp/"+server, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	res, err := m.HTTPClient(server).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(os.Stdout, res.Body)
	fmt.Println()
	return err
}
