package route

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// The bounds of a request unless its Route says otherwise.
const (
	// DefaultBody is the most bytes a body may have: 1 MiB.
	DefaultBody = 1 << 20
	// DefaultTime is the most time from the first byte of a body to the last of
	// the answer.
	DefaultTime = 30 * time.Second
	// MaxHeader is the most bytes of header: room for a token and a proof.
	MaxHeader = 32 << 10
	// maxQuery and maxPath bound what is parsed before a handler runs.
	maxQuery = 8 << 10
	maxPath  = 2 << 10
)

// A Config says where a Mux lives.
type Config struct {
	// Issuer is the public URL of the server: scheme, host and port, no path.
	// Public URLs are computed from it, never from a request's Host.
	Issuer string
	// Hosts are further values of Host that are answered, such as the address
	// it listens on when a proxy stands before it. The issuer's is always there.
	Hosts []string
	// Mint makes request ids.
	Mint principal.Minter
	Log  *slog.Logger
}

// A Handler answers one request. An error is rendered as a problem, unless the
// answer has begun; then the connection is cut, so that no client takes half an
// answer for a whole one.
type Handler func(w http.ResponseWriter, r *http.Request) error

// A Route is where a Handler hangs and what it may cost.
type Route struct {
	// Pattern is a pattern of net/http with a method: "POST /oauth/token".
	Pattern string
	// Action is the name under which the spine decides and the ledger records
	// what the handler does: lower-case words joined by dots. Reading a public
	// document has a name too ("discovery.read").
	Action string
	// MaxBody is the bound of the body in bytes; 0 means DefaultBody.
	MaxBody int64
	// Time bounds the handler; 0 means DefaultTime.
	Time time.Duration
	// Stream lifts the bound of time once the body is in: the handler ends its
	// answers itself.
	Stream bool
}

// A Mux routes requests to handlers. Mount everything, then serve; serving is
// safe for concurrent use, mounting is not.
type Mux struct {
	issuer  string
	hosts   map[string]bool
	origins map[string]bool
	mint    principal.Minter
	log     *slog.Logger
	inner   *http.ServeMux // every route, and missing behind them
	named   *http.ServeMux // the routes alone: it knows which methods a path has
	routes  []Route
}

// New returns an empty Mux. It refuses an issuer that is not an http or https
// URL of scheme and host alone, because every URL it signs for is built on it.
func New(c Config) (*Mux, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		c.Issuer != u.Scheme+"://"+u.Host || strings.ToLower(u.Host) != u.Host {
		return nil, fault.New(fault.Malformed, "issuer %q: want scheme://host[:port], lower case, no path and no trailing slash", c.Issuer)
	}
	if c.Mint.Now == nil || c.Mint.Entropy == nil || c.Log == nil {
		return nil, fault.New(fault.Internal, "route: a mux needs a minter and a log")
	}
	m := &Mux{issuer: c.Issuer, mint: c.Mint, log: c.Log, inner: http.NewServeMux(), named: http.NewServeMux(),
		hosts: map[string]bool{u.Host: true}, origins: map[string]bool{c.Issuer: true}}
	for _, h := range c.Hosts {
		h = strings.ToLower(h)
		m.hosts[h], m.origins[u.Scheme+"://"+h] = true, true
	}
	m.inner.HandleFunc("/", m.missing)
	return m, nil
}

// Mount hangs h at r.Pattern. It panics on a route without a method or without
// an action, as net/http does on a pattern it cannot read: both are mistakes of
// wiring that no request should meet.
func (m *Mux) Mount(r Route, h Handler) {
	if !isAction(r.Action) {
		panic("route: " + r.Pattern + " has no action name: want lower-case words joined by dots")
	}
	if method, rest, ok := strings.Cut(r.Pattern, " "); !ok || method == "" || !strings.HasPrefix(rest, "/") {
		panic("route: pattern " + r.Pattern + ": want METHOD /path")
	}
	if r.MaxBody == 0 {
		r.MaxBody = DefaultBody
	}
	if r.Time == 0 {
		r.Time = DefaultTime
	}
	m.routes = append(m.routes, r)
	run := func(w http.ResponseWriter, req *http.Request) { m.run(w, req, r, h) }
	m.inner.HandleFunc(r.Pattern, run)
	m.named.HandleFunc(r.Pattern, run)
}

// Routes returns what was mounted, in order.
func (m *Mux) Routes() []Route { return append([]Route(nil), m.routes...) }

// Issuer returns the public URL that the Mux was made with.
func (m *Mux) Issuer() string { return m.issuer }

// PublicURL returns the URL of r as its client should have written it: the
// issuer and r's path, without query or fragment. It is what a DPoP proof's htu
// must equal, and it owes nothing to the Host header.
func (m *Mux) PublicURL(r *http.Request) string { return m.issuer + r.URL.EscapedPath() }

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := m.mint.New(principal.Request)
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
	h := w.Header()
	h.Set("X-Request-ID", string(id))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // a handler of public documents says otherwise
	if status, err := m.admit(r); err != nil {
		writeProblem(w, r, status, err)
		return
	}
	m.inner.ServeHTTP(w, r)
}

// admit refuses what no route may see.
func (m *Mux) admit(r *http.Request) (int, error) {
	switch origins := r.Header.Values("Origin"); {
	case !m.hosts[strings.ToLower(r.Host)]:
		return http.StatusMisdirectedRequest, fault.New(fault.Malformed, "this server does not answer for host %q", clip(r.Host)).
			WithHint("use %s, or add the host to the server's configuration", m.issuer)
	case len(origins) > 1 || len(origins) == 1 && !m.origins[strings.ToLower(origins[0])]:
		return http.StatusForbidden, fault.New(fault.Denied, "requests from other origins are refused")
	case len(r.URL.RawQuery) > maxQuery || len(r.URL.EscapedPath()) > maxPath:
		return http.StatusRequestURITooLong, fault.New(fault.TooLarge, "the URL is too long: at most %d bytes of path and %d of query", maxPath, maxQuery)
	case r.URL.Path != "/" && path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/"):
		return http.StatusNotFound, fault.New(fault.NotFound, "the path is not in its shortest form")
	}
	return 0, nil
}

// missing answers a request that no route wants. net/http knows which methods
// would have matched; its answer is taken and its text dropped.
func (m *Mux) missing(w http.ResponseWriter, r *http.Request) {
	probe := &discard{header: http.Header{}}
	m.named.ServeHTTP(probe, r)
	if allow := probe.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		writeProblem(w, r, http.StatusMethodNotAllowed, fault.New(fault.Malformed, "method %s is not allowed here", clip(r.Method)).WithHint("use %s", allow))
		return
	}
	writeProblem(w, r, http.StatusNotFound, fault.New(fault.NotFound, "nothing is served at this path"))
}

// run calls h within the bounds of route.
func (m *Mux) run(w http.ResponseWriter, r *http.Request, route Route, h Handler) {
	t := &tracked{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			m.log.ErrorContext(r.Context(), "panic in a handler", "action", route.Action, "request_id", RequestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
			m.fail(t, r, fault.New(fault.Internal, "panic"))
		}
	}()
	ctx := r.Context()
	r.Body = http.MaxBytesReader(t, r.Body, route.MaxBody)
	if route.Stream {
		lift(w, r, time.Time{})
	} else {
		if route.Time > DefaultTime {
			lift(w, r, time.Now().Add(route.Time+time.Second))
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, route.Time)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if err := h(t, r); err != nil {
		switch {
		case errors.Is(err, context.Canceled) && r.Context().Err() == context.Canceled:
			return // nobody is left to answer
		case errors.Is(err, context.DeadlineExceeded) && fault.KindOf(err) == fault.Internal:
			err = fault.Wrap(fault.Unavailable, err, "the request took longer than %s", route.Time)
		}
		if fault.KindOf(err) == fault.Internal {
			m.log.ErrorContext(ctx, "internal fault", "action", route.Action, "request_id", RequestID(ctx), "error", err)
		} else {
			m.log.DebugContext(ctx, "fault", "action", route.Action, "request_id", RequestID(ctx), "error", err)
		}
		m.fail(t, r, err)
	}
}

// fail renders err if that is still possible.
func (m *Mux) fail(t *tracked, r *http.Request, err error) {
	if t.began {
		panic(http.ErrAbortHandler)
	}
	WriteProblem(t, r, err)
}

// lift moves the server's deadlines for a streamed or long answer: of writing to
// until (zero is never), of reading to never once the body is in. A test's
// recorder has no deadlines to move, which is the only error there can be.
func lift(w http.ResponseWriter, r *http.Request, until time.Time) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(until)
	if r.ContentLength == 0 {
		_ = c.SetReadDeadline(time.Time{})
		return
	}
	r.Body = &lifting{r.Body, c}
}

type lifting struct {
	io.ReadCloser
	c *http.ResponseController
}

func (l *lifting) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if err == io.EOF {
		_ = l.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Serve returns an http.Server for m with the bounds that its routes lean on:
// slow or large headers, slow bodies, slow readers, idle connections.
func (m *Mux) Serve() *http.Server {
	return &http.Server{Handler: m, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		// A second more than handlers have, so that the problem still gets out.
		ReadTimeout: DefaultTime + time.Second, WriteTimeout: DefaultTime + time.Second, MaxHeaderBytes: MaxHeader, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug)}
}

type requestKey struct{}

// RequestID returns the id of the request that ctx belongs to, "" outside one.
func RequestID(ctx context.Context) principal.UID {
	id, _ := ctx.Value(requestKey{}).(principal.UID)
	return id
}

// isAction reports whether s is lower-case words joined by dots.
func isAction(s string) bool {
	for word := range strings.SplitSeq(s, ".") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return false
		}
	}
	return true
}

// clip keeps a caller's text from flooding a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// tracked remembers whether an answer has begun.
type tracked struct {
	http.ResponseWriter
	began bool
}

func (t *tracked) WriteHeader(status int) {
	t.began = t.began || status >= 200
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(b []byte) (int, error) {
	t.began = true
	return t.ResponseWriter.Write(b)
}

// Flush lets a face stream without a type assertion failing on the wrapper.
func (t *tracked) Flush() {
	t.began = true
	_ = http.NewResponseController(t.ResponseWriter).Flush()
}

// Unwrap serves http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// discard takes an answer and keeps its header only.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
