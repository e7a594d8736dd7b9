package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/connect/secret"
	"github.com/ambit-iam/ambit/internal/connect/upstream"
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/face/admin"
	"github.com/ambit-iam/ambit/internal/face/mcp"
	"github.com/ambit-iam/ambit/internal/face/oauth"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/keyring"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
	"github.com/ambit-iam/ambit/internal/store"
)

const (
	// DefaultListen is where the server listens unless told otherwise.
	DefaultListen = "127.0.0.1:8420"

	headWindow = 4096             // entries whose chain is verified at start
	proofs     = 1 << 20          // DPoP proofs remembered
	tokens     = 1 << 16          // verified tokens remembered
	drain      = 10 * time.Second // for what is in flight at shutdown
)

// A Config says what to run. Its zero value, with a Data directory, is a server
// on DefaultListen.
type Config struct {
	// Data is the directory of the store, the keys and the local door.
	Data   string
	Listen string // host:port; port 0 picks one
	// Issuer is the public URL; "" is http:// and the address listened on. It
	// cannot change once the data directory has one.
	Issuer string
	// ReadyFile is written, whole, once the server serves: {"url","issuer","workload_socket"}.
	ReadyFile string
	// SignIn is how long a person's own token lives; 0 is five minutes.
	SignIn  time.Duration
	Version string
	Logger  *slog.Logger
}

// A server is everything that runs, in the order it was opened.
type server struct {
	config   Config
	issuer   string
	listener net.Listener
	store    *store.Store
	keys     *keyring.Ring
	tenant   principal.UID
	mint     principal.Minter
	follower *follower
	order    *sequencer
	upstream *upstream.Upstreams
	spine    *enforce.Spine
	door     *door
	http     *http.Server
}

// Run opens everything, serves until ctx ends, and closes it in reverse: new
// requests are refused, those in flight finish within ten seconds, the log is
// sequenced and signed, the store is closed. An error at start says what is
// wrong and leaves nothing running.
func Run(ctx context.Context, c Config) (err error) {
	s := &server{config: c}
	if s.config.Logger == nil {
		s.config.Logger = slog.New(slog.DiscardHandler)
	}
	if s.config.Listen == "" {
		s.config.Listen = DefaultListen
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, open := range []func(context.Context) error{s.listen, s.openStore, s.openLedger, s.openSpine, s.openFaces} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	return s.serve(ctx)
}

func (s *server) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", s.config.Listen); err != nil {
		return err
	}
	s.issuer = s.config.Issuer
	if at, ok := s.listener.Addr().(*net.TCPAddr); s.issuer == "" && ok && at.IP.IsUnspecified() {
		return fault.New(fault.Malformed, "listening on every address (%s) needs an issuer: the URL that tokens and proofs are made for", at).
			WithHint("say how clients reach this server: --issuer https://ambit.example.com")
	}
	if s.issuer == "" {
		s.issuer = "http://" + s.listener.Addr().String()
	}
	return nil
}

// openStore opens the data directory and makes the tenant at its first start.
func (s *server) openStore(ctx context.Context) (err error) {
	s.mint = principal.Minter{Now: func() time.Time { return time.Now().UTC() }, Entropy: rand.Reader}
	if s.store, err = store.Open(ctx, store.Options{Dir: s.config.Data, Log: s.config.Logger}); err != nil {
		return err
	}
	meta, err := s.store.Meta(ctx)
	if err != nil {
		return err
	}
	s.tenant = s.mint.New(principal.Tenant)
	if len(meta.Tenants) > 0 {
		s.tenant = meta.Tenants[0].ID
	}
	return s.store.Init(ctx, s.tenant, s.issuer)
}

// openLedger opens the keys and verifies the head of the ledger: a server does
// not go on writing to a past that was changed.
func (s *server) openLedger(ctx context.Context) (err error) {
	if s.keys, err = keyring.Open(filepath.Join(s.config.Data, "keys"), s.issuer); err != nil {
		return err
	}
	if err := ledger.VerifyHead(ctx, s.store, s.tenant, s.keys.LogKey(), headWindow); err != nil {
		return err
	}
	s.order = newSequencer(s.store, s.tenant, s.keys.Checkpoint(), s.keys.LogKey(), s.config.Logger)
	s.follower, err = follow(ctx, s.store, s.tenant, s.config.Logger)
	return err
}

func (s *server) openSpine(context.Context) error {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return err
	}
	boot := time.Now()
	if s.keys.Fresh() {
		boot = time.Time{} // no earlier process can have accepted anything
	}
	s.upstream = upstream.New(upstream.Options{Version: s.config.Version, Log: s.config.Logger})
	s.spine = &enforce.Spine{
		Tenant: s.tenant,
		Issuer: s.issuer,
		Store:  s.store,
		Log:    s.store,
		State:  s.follower,
		Tokens: s.keys,
		SignIn: s.config.SignIn,
		Credentials: credential.Verifier{
			Issuer: s.issuer,
			Tokens: s.keys,
			Replay: credential.NewReplay(proofs, boot, base64.RawURLEncoding.EncodeToString(nonce[:])),
			Cache:  credential.NewCache(tokens),
		},
		Secrets: secret.Source{},
		Mint:    s.mint,
		Flush:   s.order.Flush,
		LogKey:  s.keys.LogKey(),
		Logger:  s.config.Logger,
	}
	return nil
}

func (s *server) openFaces(context.Context) (err error) {
	mux, err := route.New(route.Config{Issuer: s.issuer, Hosts: []string{s.listener.Addr().String()}, Mint: s.mint, Log: s.config.Logger})
	if err != nil {
		return err
	}
	(&oauth.Face{Spine: s.spine, Keys: s.keys, Mux: mux}).Mount()
	(&mcp.Face{Spine: s.spine, Upstreams: s.upstream, Mux: mux, Version: s.config.Version}).Mount()
	if err := (&admin.Face{Writes: s.spine, Reads: s.spine, Upstreams: s.upstream, Mux: mux, Version: s.config.Version}).Mount(); err != nil {
		return err
	}
	s.health(mux)
	if s.door, err = openDoor(s.config.Data, s.spine); err != nil {
		return err
	}
	s.http = mux.Serve()
	return nil
}

// health mounts what an orchestrator asks: alive, and able to decide.
func (s *server) health(mux *route.Mux) {
	mux.Mount(route.Route{Pattern: "GET /healthz", Action: "health.read"}, func(w http.ResponseWriter, _ *http.Request) error {
		return route.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.Mount(route.Route{Pattern: "GET /readyz", Action: "health.read"}, func(w http.ResponseWriter, _ *http.Request) error {
		snap, err := s.follower.Current()
		if err != nil {
			return err
		}
		return route.WriteJSON(w, http.StatusOK, map[string]any{"status": "ready", "revision": snap.Revision})
	})
}

// serve runs every loop until ctx ends or one of them fails.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				cancel(err)
			}
		})
	}
	run(func() error { return s.follower.Run(ctx) })
	run(func() error { return s.order.Run(ctx) })
	run(func() error { return s.spine.Watch(ctx) })
	run(s.door.serve)
	run(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	if err := s.ready(); err != nil {
		cancel(err)
	}
	s.config.Logger.InfoContext(ctx, "serving", "issuer", s.issuer, "address", s.listener.Addr().String(), "tenant", s.tenant)
	<-ctx.Done()
	err := context.Cause(ctx)
	stop, done := context.WithTimeout(context.Background(), drain)
	defer done()
	failed := errors.Join(s.http.Shutdown(stop), s.door.http.Shutdown(stop))
	s.upstream.Close(stop)
	wg.Wait()
	failed = errors.Join(failed, s.order.Flush(stop))
	if !errors.Is(err, context.Canceled) {
		return errors.Join(err, failed)
	}
	return failed
}

// ready writes the ready file in one piece, so that a reader never sees half.
func (s *server) ready() error {
	if s.config.ReadyFile == "" {
		return nil
	}
	b, err := json.Marshal(map[string]string{"url": "http://" + s.listener.Addr().String(), "issuer": s.issuer, "workload_socket": ""})
	if err != nil {
		return err
	}
	tmp := s.config.ReadyFile + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.config.ReadyFile)
}

// close releases what was opened, in reverse. It runs after serve, and after a
// start that failed half way.
func (s *server) close() error {
	var errs []error
	if s.door != nil {
		errs = append(errs, s.door.http.Close())
	}
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
