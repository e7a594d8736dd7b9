package stdio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sh starts a shell script as a child and closes it with the test.
func sh(t *testing.T, c Command, script string) *Process {
	t.Helper()
	c.Argv = []string{"sh", "-c", script}
	if c.Grace == 0 {
		c.Grace = 200 * time.Millisecond
	}
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

func line(t *testing.T, p *Process) string {
	t.Helper()
	b, err := p.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// alive reports whether the process pid runs; one that only waits to be reaped
// by somebody else does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return runtime.GOOS != "linux" && syscall.Kill(pid, 0) == nil
	}
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	return !bytes.HasPrefix(after, []byte(" Z"))
}

func gone(t *testing.T, pid int) {
	t.Helper()
	for range 200 {
		if !alive(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
}

func TestEcho(t *testing.T) {
	p := sh(t, Command{}, "exec cat")
	for i := range 100 {
		want := fmt.Sprintf(`{"n":%d}`, i)
		if sent, err := p.Send([]byte(want)); !sent || err != nil {
			t.Fatal(sent, err)
		}
		if got := line(t, p); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// Lines of concurrent senders are never mixed, however long they are.
func TestConcurrentSend(t *testing.T) {
	p := sh(t, Command{}, "exec cat")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := p.Send(bytes.Repeat([]byte{'a' + byte(i)}, 50_000)); err != nil {
				t.Error(err)
			}
		})
	}
	for range 20 {
		if got := line(t, p); got != strings.Repeat(got[:1], 50_000) {
			t.Fatal("two lines were mixed")
		}
	}
	wg.Wait()
}

func TestEnvironmentInheritsNothing(t *testing.T) {
	t.Setenv("AMBIT_CANARY", "inherited")
	p := sh(t, Command{Env: map[string]string{"TOKEN": "given", "HOME": "/nowhere"}, Dir: "/"}, "env; echo end")
	got := map[string]string{}
	for l := line(t, p); l != "end"; l = line(t, p) {
		k, v, _ := strings.Cut(l, "=")
		got[k] = v
	}
	if got["TOKEN"] != "given" || got["HOME"] != "/nowhere" || got["PATH"] != os.Getenv("PATH") {
		t.Errorf("environment is %v", got)
	}
	if _, ok := got["AMBIT_CANARY"]; ok {
		t.Error("the child inherited this process's environment")
	}
}

// What the child wrote before it ended is still read; after it comes io.EOF.
func TestEnd(t *testing.T) {
	p := sh(t, Command{}, "echo last; printf half; exit 3")
	if got := line(t, p); got != "last" {
		t.Errorf("got %q", got)
	}
	if b, err := p.Receive(); err != io.EOF {
		t.Errorf("after the end: %q, %v", b, err)
	}
	<-p.Ended()
	if sent, err := p.Send([]byte("x")); sent || !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("send after the end: %v, %v", sent, err)
	}
}

func TestLineBound(t *testing.T) {
	p := sh(t, Command{MaxLine: 1000}, "head -c 2000 /dev/zero; exec cat")
	if _, err := p.Receive(); err == nil || err == io.EOF {
		t.Errorf("a long line: %v", err)
	}
	<-p.Ended()
}

// Close kills a child that ignores every polite request, and its descendants.
func TestCloseKillsTheGroup(t *testing.T) {
	p := sh(t, Command{Grace: 50 * time.Millisecond}, `trap "" TERM; sleep 1000 & echo $!; echo $$; while :; do sleep 1000; done`)
	grandchild, _ := strconv.Atoi(line(t, p))
	child, _ := strconv.Atoi(line(t, p))
	p.Close(context.Background())
	gone(t, child)
	gone(t, grandchild)
}

// A child that ends by itself takes its descendants along.
func TestEndKillsTheGroup(t *testing.T) {
	p := sh(t, Command{}, `sleep 1000 & echo $!`)
	grandchild, _ := strconv.Atoi(line(t, p))
	<-p.Ended()
	gone(t, grandchild)
}

// A descendant that left the group and holds the streams open does not hold us.
func TestEscapedDescendant(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid here")
	}
	p := sh(t, Command{}, `setsid sh -c 'echo out; exec sleep 5' & read go`)
	line(t, p)
	start := time.Now()
	_, _ = p.Send([]byte("go"))
	if _, err := p.Receive(); err != io.EOF {
		t.Error(err)
	}
	p.Close(context.Background())
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("waited %v for a process that is not ours", d)
	}
}

func TestCloseIsPoliteFirst(t *testing.T) {
	p := sh(t, Command{Grace: 5 * time.Second}, `while read l; do :; done; echo bye`)
	start := time.Now()
	p.Close(context.Background())
	p.Close(context.Background())
	if time.Since(start) > 4*time.Second {
		t.Error("a child that leaves when its input ends was waited for")
	}
}

func TestStandardErrorIsLogged(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := sh(t, Command{Log: log}, `echo trouble >&2; head -c 100000 /dev/zero | tr '\0' x >&2; echo >&2; echo after >&2`)
	<-p.Ended()
	p.Close(context.Background())
	if s := buf.String(); !strings.Contains(s, "line=trouble") || !strings.Contains(s, "line=after") || len(s) > 3*errorLine {
		t.Errorf("log of %d bytes: %.300s", len(s), s)
	}
}

func TestStartFails(t *testing.T) {
	for _, argv := range [][]string{nil, {""}, {"/no/such/program", "secret-argument"}} {
		if p, err := Start(Command{Argv: argv}); err == nil {
			p.Close(context.Background())
			t.Errorf("%q started", argv)
		} else if strings.Contains(err.Error(), "secret-argument") {
			t.Errorf("the error tells the arguments: %v", err)
		}
	}
}

// Starting and ending many children leaves no goroutine, descriptor or process.
func TestNoLeak(t *testing.T) {
	descriptors := func() int {
		d, _ := os.ReadDir("/proc/self/fd")
		return len(d)
	}
	before, fds := runtime.NumGoroutine(), descriptors()
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			p, err := Start(Command{Argv: []string{"cat"}, Grace: 100 * time.Millisecond})
			if err != nil {
				t.Error(err)
				return
			}
			p.Close(context.Background())
			gone(t, p.cmd.Process.Pid)
		})
	}
	wg.Wait()
	for range 100 {
		if runtime.NumGoroutine() <= before && descriptors() <= fds {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, were %d; %d descriptors, were %d", runtime.NumGoroutine(), before, descriptors(), fds)
}

// The child dies with the process that started it, however that one dies.
func TestDiesWithItsOwner(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a child's life to its parent's")
	}
	if os.Getenv("STDIO_OWNER") != "" {
		p, err := Start(Command{Argv: []string{"sleep", "1000"}})
		if err != nil {
			os.Exit(1)
		}
		fmt.Println(p.cmd.Process.Pid)
		time.Sleep(time.Minute)
		return
	}
	owner := exec.Command(os.Args[0], "-test.run=^TestDiesWithItsOwner$")
	owner.Env = append(os.Environ(), "STDIO_OWNER=1")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the child did not start")
	}
	_ = owner.Process.Kill()
	_ = owner.Wait()
	gone(t, pid)
}
