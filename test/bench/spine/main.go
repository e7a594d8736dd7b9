// Command spine measures the spine beside its floor, in one run on one machine:
// a gateway call beside a reverse proxy in front of the same upstream, a durable
// decision beside the fsync that it rests on. It prints ratios and asserts no
// time; what it asserts is that durability was on. The last line is one JSON
// object.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ambit-iam/ambit/client"
)

func main() {
	binary := flag.String("ambit", "", "the ambit binary")
	dir := flag.String("dir", "", "directory for data, on a real disk")
	rounds := flag.Int("rounds", 8, "interleaved rounds")
	calls := flag.Int("calls", 500, "calls a round")
	proxy := flag.String("proxy", "", "internal: be the reverse proxy in front of this URL")
	flag.Parse()
	if *proxy != "" {
		beProxy(*proxy)
		return
	}
	if err := run(*binary, *dir, *rounds, *calls); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// beProxy is the peer: what a hop costs that does nothing.
func beProxy(target string) {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + ln.Addr().String())
	panic(http.Serve(ln, p))
}

// upstream is a raw MCP server: it answers what the gateway needs of one and
// nothing more, so that what is measured is the hop.
func upstream() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result := `{"content":[{"type":"text","text":"three records of P1"}]}`
		switch q.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}`
		case "tools/list":
			result = `{"tools":[{"name":"read","inputSchema":{"type":"object"}}]}`
		}
		if q.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, q.ID, result)
	}))
	return "http://" + ln.Addr().String()
}

func run(binary, dir string, rounds, calls int) error {
	if err := onDisk(dir); err != nil {
		return err
	}
	fig := map[string]float64{"fsync_per_s": fsyncs(dir)}
	rec, err := record(filepath.Join(dir, "record"))
	if err != nil {
		return err
	}
	defer rec.store.Close()
	up := upstream()
	proxy, stopProxy, err := start(exec.Command(os.Args[0], "-proxy", up))
	if err != nil {
		return err
	}
	defer stopProxy()
	house, err := serve(binary, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer house.stop()
	fig["start_ms"] = house.startMS
	time.Sleep(1500 * time.Millisecond)
	fig["rss_idle_mb"] = rss(house.pid)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	token, err := house.organise(ctx, up)
	if err != nil {
		return err
	}
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"patient":"P1"}}}`)
	var viaProxy, viaGateway, commits []time.Duration
	turns := []struct {
		name string
		once func() (time.Duration, error)
		took *[]time.Duration
	}{
		{"commit", rec.once, &commits},
		{"proxy", func() (time.Duration, error) { return once(proxy+"/mcp", "", body) }, &viaProxy},
		{"gateway", func() (time.Duration, error) { return once(house.url+"/mcp/raw", token, body) }, &viaGateway},
	}
	for n := range rounds * calls {
		// One of each, in any order: what idles, sleeps or is cold is so for all.
		rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, t := range turns {
			took, err := t.once()
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			if n >= calls { // the first round warms all
				*t.took = append(*t.took, took)
			}
		}
	}
	fig["proxy_p50_us"], fig["gateway_p50_us"], fig["commit_p50_us"] = median(viaProxy), median(viaGateway), median(commits)
	fig["gateway_net_ratio_p50"] = (fig["gateway_p50_us"] - fig["commit_p50_us"]) / fig["proxy_p50_us"]
	fmt.Printf("gateway p50 %.0f µs · one durable commit %.0f µs · reverse proxy p50 %.0f µs · net ratio %.2f\n",
		fig["gateway_p50_us"], fig["commit_p50_us"], fig["proxy_p50_us"], fig["gateway_net_ratio_p50"])
	out, err := json.Marshal(fig)
	if err != nil {
		return err
	}
	fmt.Println(string(out))
	return nil
}

// onDisk refuses a tmpfs: a commit to memory is not durable.
func onDisk(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return err
	}
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	if st.Type == tmpfs || st.Type == ramfs {
		return fmt.Errorf("%s is in memory; name a directory on a disk", dir)
	}
	return nil
}

// fsyncs is what this disk does: appends of 4 KiB, each followed by fsync.
func fsyncs(dir string) float64 {
	f, err := os.CreateTemp(dir, "fsync")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	buf, start, n := make([]byte, 4096), time.Now(), 0
	for ; time.Since(start) < time.Second; n++ {
		if _, err := f.Write(buf); err != nil {
			panic(err)
		}
		if err := f.Sync(); err != nil {
			panic(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}

// once makes a call and returns what it took.
func once(url, token string, body []byte) (time.Duration, error) {
	start := time.Now()
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("MCP-Protocol-Version", "2025-11-25")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || !bytes.Contains(b, []byte(`"result"`)) {
		return 0, fmt.Errorf("%s: %s %v", res.Status, b, err)
	}
	return time.Since(start), nil
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Nanoseconds()) / 1e3
}

// start runs a command that prints its URL and stops it.
func start(cmd *exec.Cmd) (string, func(), error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	line := make([]byte, 128)
	n, err := out.Read(line)
	return strings.TrimSpace(string(line[:n])), func() { cmd.Process.Kill(); cmd.Wait() }, err
}

// a house is a running server.
type house struct {
	url, dir string
	pid      int
	startMS  float64
	stop     func()
}

// serve starts the server on an empty store and times it to serving.
func serve(binary, data string) (*house, error) {
	readyFile := data + ".ready"
	cmd := exec.Command(binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--ready-file", readyFile)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() }
	for time.Since(began) < 20*time.Second {
		if b, err := os.ReadFile(readyFile); err == nil {
			took := time.Since(began)
			var ready struct{ URL string }
			if err := json.Unmarshal(b, &ready); err != nil {
				stop()
				return nil, err
			}
			return &house{ready.URL, data, cmd.Process.Pid, float64(took.Microseconds()) / 1e3, stop}, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	stop()
	return nil, errors.New("the server did not become ready in 20 s")
}

// rss is the resident memory of a process in megabytes.
func rss(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// organise enrols an administrator, applies an organisation with the upstream
// behind it, starts a mission and returns the agent's bearer token.
func (h *house) organise(ctx context.Context, up string) (string, error) {
	admin, err := client.NewKey()
	if err != nil {
		return "", err
	}
	agentKey, err := client.NewKey()
	if err != nil {
		return "", err
	}
	id, err := h.enrol(admin)
	if err != nil {
		return "", err
	}
	me := &client.Person{Issuer: h.url, ID: id, Key: admin}
	doc := fmt.Sprintf(`{"document":{
	 "users":[{"id":"me","groups":["administrators"]}],
	 "groups":[{"id":"administrators","name":"Administrators"}],
	 "blueprints":[{"id":"reader","owner":"me","purpose":"measure","entitlement":"delegated","bearer":true,
	   "ceiling":[{"type":"mcp_tool","server":"raw","actions":["read"],"arguments":{"patient":{"any":true}}}]}],
	 "agents":[{"id":"reader","blueprint":"reader","key":%s}],
	 "servers":[{"id":"raw","url":%q,"headers":{"Authorization":{"value":"Bearer of-the-upstream"}},"tools":{"read":{"effect":"read","resource":"patient:{args.patient}"}}}],
	 "model":{"source":"model\n  schema 1.1\ntype user\ntype patient\n  relations\n    define care_team: [user]\n"},
	 "tuples":[{"object":"patient:P1","relation":"care_team","subject":"user:me"}],
	 "policies":[{"name":"bench","text":"permit(principal, action == Action::\"raw.read\", resource) when { context.relations.contains(\"care_team\") };"}]}}`,
		agentKey.Public(), up)
	if strings.Contains(doc, "of-the-upstream") { // a credential is a reference, as in earnest
		file := filepath.Join(h.dir, "upstream.token")
		if err := os.WriteFile(file, []byte("of-the-upstream\n"), 0o600); err != nil {
			return "", err
		}
		doc = strings.Replace(doc, `{"value":"Bearer of-the-upstream"}`, fmt.Sprintf(`{"file":%q,"prefix":"Bearer "}`, file), 1)
	}
	if err := me.Do(ctx, http.MethodPost, "/api/v1/apply", json.RawMessage(doc), nil); err != nil {
		return "", fmt.Errorf("apply: %w", err)
	}
	draft, err := me.Raw(ctx, http.MethodPost, "/api/v1/missions:draft", map[string]any{"agent": "reader", "intent": "measure", "for": 3600,
		"limits": map[string]any{"calls": 1000000}})
	if err != nil {
		return "", fmt.Errorf("draft: %w", err)
	}
	statement, err := me.SignMission(draft)
	if err != nil {
		return "", err
	}
	if err := me.Do(ctx, http.MethodPost, "/api/v1/missions", map[string]string{"statement": statement}, nil); err != nil {
		return "", fmt.Errorf("start: %w", err)
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(draft, &claims); err != nil {
		return "", err
	}
	m, err := (&client.Agent{Issuer: h.url, ID: claims.Sub, Key: agentKey, Bearer: true}).Take(ctx, statement, "raw")
	if err != nil {
		return "", fmt.Errorf("take: %w", err)
	}
	t, err := m.Token(ctx, "raw")
	return t.Access, err
}

// enrol makes the first administrator through the local door.
func (h *house) enrol(k *client.Key) (string, error) {
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(h.dir, "admin.sock"))
	}}}
	body, err := json.Marshal(map[string]any{"handle": "me", "jwk": k.Public()})
	if err != nil {
		return "", err
	}
	res, err := c.Post("http://door/enrol", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var out struct{ Objects map[string]string }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Objects["user"] == "" {
		return "", fmt.Errorf("enrol: %s %v", res.Status, err)
	}
	return out.Objects["user"], nil
}
