package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
)

// Options are the bounds of an Upstreams; every zero value is the default named.
type Options struct {
	// Version is what servers are told of this client; default "dev".
	Version string
	// CallTime bounds one call; default 10 minutes.
	CallTime time.Duration
	// OpenTime bounds the start of a session, a process included; default 1 minute.
	OpenTime time.Duration
	// IdleTime is how long a session without calls is kept; default 5 minutes.
	IdleTime time.Duration
	// MaxAnswer bounds one message from a server in bytes; default 16 MiB.
	MaxAnswer int
	// MaxSessions bounds how many sessions are open; default 1024.
	MaxSessions int
	// Log takes the standard error of processes, at debug; nil drops it.
	Log *slog.Logger
}

// An Upstreams implements broker.Upstreams. Make one with New and Close it.
type Upstreams struct {
	o         Options
	transport *http.Transport
	base      context.Context // ends with Close: what outlives its call hangs on it
	stop      context.CancelFunc
	work      sync.WaitGroup // the reaper and what is left of calls

	mu     sync.Mutex // guards all fields below, and users and idle of every slot
	slots  map[broker.Session]*slot
	closed bool
	calls  sync.WaitGroup
}

var _ broker.Upstreams = (*Upstreams)(nil)

// A slot is where the session of one key lives.
type slot struct {
	users int // calls that hold the slot
	idle  time.Time
	turn  chan struct{} // of one; held to read or replace link
	link  *held
}

// A link is one initialised session with one server.
type link interface {
	// call carries one request. notify is called on the caller's goroutine. Its
	// error wraps a broker.Failure; errExpired is in its tree when the server no
	// longer knows the session and did not look at the request.
	call(ctx context.Context, o broker.Opened, method string, params json.RawMessage, notify func(json.RawMessage)) (broker.Reply, error)
	// fits reports whether the session still lives and is the one o needs.
	fits(o broker.Opened) bool
	// close ends the session. It waits no longer than ctx.
	close(ctx context.Context)
}

// A held link knows the calls that use it, so that one that is replaced ends
// only when they have.
type held struct {
	link
	calls sync.WaitGroup // added to under the slot's turn only
}

// New returns an Upstreams without any session.
func New(o Options) *Upstreams {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.CallTime, 10*time.Minute)
	def(&o.OpenTime, time.Minute)
	def(&o.IdleTime, 5*time.Minute)
	if o.MaxAnswer == 0 {
		o.MaxAnswer = 16 << 20
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 1024
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	u := &Upstreams{o: o, slots: map[broker.Session]*slot{}, transport: &http.Transport{
		// No proxy from the environment and no compression: what an answer costs
		// to hold is what came over the wire.
		DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConns: 1024, MaxIdleConnsPerHost: 256,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10}}
	u.base, u.stop = context.WithCancel(context.Background())
	u.work.Go(u.reap)
	return u
}

// Call implements broker.Upstreams. notify runs on the caller's goroutine.
func (u *Upstreams) Call(ctx context.Context, o broker.Opened, method string, params json.RawMessage, notify func(json.RawMessage)) (broker.Reply, error) {
	s, err := u.acquire(o)
	if err != nil {
		return broker.Reply{}, err
	}
	defer u.release(s)
	if pass := notify; pass != nil {
		notify = func(n json.RawMessage) {
			if !o.Discloses(n) {
				pass(n)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, u.o.CallTime)
	defer cancel()
	for again := true; ; again = false {
		l, err := u.open(ctx, s, o)
		if err != nil {
			return broker.Reply{}, err
		}
		r, err := l.call(ctx, o, method, params, notify)
		l.calls.Done()
		if err == nil && (o.Discloses(r.Result) || o.Discloses(r.Error)) {
			return broker.Reply{}, failed(o.Server(), true, errors.New("a credential in the answer"), "its answer to %s repeats a credential of the gateway and is withheld", method)
		}
		if err == nil || !again || !errors.Is(err, errExpired) {
			return r, err
		}
	}
}

// acquire returns the slot of o's key and counts the call in.
func (u *Upstreams) acquire(o broker.Opened) (*slot, error) {
	server := o.Server()
	if server.ID == "" || o.Session().Server != server.ID || (server.URL == "") == (len(server.Command) == 0) {
		return nil, unsent(server, errors.New("nothing was opened"), "there is no open server to call")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.slots[o.Session()]
	switch {
	case u.closed:
		return nil, unsent(server, context.Canceled, "the gateway is stopping")
	case s == nil && len(u.slots) >= u.o.MaxSessions:
		return nil, unsent(server, errors.New("too many sessions"), "the gateway has %d upstream sessions open, which is its bound", u.o.MaxSessions)
	case s == nil:
		s = &slot{turn: make(chan struct{}, 1)}
		u.slots[o.Session()] = s
	}
	s.users++
	u.calls.Add(1)
	return s, nil
}

func (u *Upstreams) release(s *slot) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s.users--
	s.idle = time.Now()
	u.calls.Done()
}

// open returns the link of s, a new one if there is none that fits o. The caller
// owes it one calls.Done.
func (u *Upstreams) open(ctx context.Context, s *slot, o broker.Opened) (*held, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, unsent(o.Server(), ctx.Err(), "the call ended while its session was being opened")
	}
	if u.base.Err() != nil { // Close may have closed this slot's link already
		return nil, unsent(o.Server(), context.Canceled, "the gateway is stopping")
	}
	if s.link == nil || !s.link.fits(o) {
		if old := s.link; old != nil {
			s.link = nil
			u.work.Go(func() { u.retire(old) })
		}
		ctx, cancel := context.WithTimeout(ctx, u.o.OpenTime)
		defer cancel()
		defer context.AfterFunc(u.base, cancel)()
		l, err := u.dial(ctx, o)
		if err != nil {
			return nil, err
		}
		s.link = &held{link: l}
	}
	s.link.calls.Add(1)
	return s.link, nil
}

func (u *Upstreams) dial(ctx context.Context, o broker.Opened) (link, error) {
	if o.Server().URL != "" {
		return u.dialHTTP(ctx, o)
	}
	return u.startProcess(ctx, o)
}

// retire closes a replaced link when its last call is done.
func (u *Upstreams) retire(l *held) {
	idle := make(chan struct{})
	go func() { l.calls.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-u.base.Done():
	}
	ctx, cancel := context.WithTimeout(u.base, partingTime)
	defer cancel()
	l.close(ctx)
	<-idle
}

// reap closes sessions that were idle for long.
func (u *Upstreams) reap() {
	tick := time.NewTicker(max(u.o.IdleTime/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-u.base.Done():
			return
		case now := <-tick.C:
			u.part(u.base, u.take(func(s *slot) bool { return s.users == 0 && now.Sub(s.idle) >= u.o.IdleTime }))
		}
	}
}

// take removes the slots that match from the map and returns them.
func (u *Upstreams) take(match func(*slot) bool) []*slot {
	u.mu.Lock()
	defer u.mu.Unlock()
	var taken []*slot
	for key, s := range u.slots {
		if match(s) {
			delete(u.slots, key)
			taken = append(taken, s)
		}
	}
	return taken
}

// part closes the links of slots that nobody can reach any more, together.
func (u *Upstreams) part(ctx context.Context, slots []*slot) {
	ctx, cancel := context.WithTimeout(ctx, partingTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range slots {
		wg.Go(func() {
			s.turn <- struct{}{} // an opening that was cut short has ended by then
			if s.link != nil {
				s.link.close(ctx)
			}
		})
	}
	wg.Wait()
}

// partingTime is how long the polite end of sessions may take.
const partingTime = 3 * time.Second

// Close refuses new calls, waits for those in flight as long as ctx lives, cuts
// the others, and ends every session and process. When it returns nothing that
// the Upstreams started is left.
func (u *Upstreams) Close(ctx context.Context) {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	done := make(chan struct{})
	go func() { u.calls.Wait(); close(done) }()
	select {
	case <-done:
		u.part(ctx, u.take(func(*slot) bool { return true }))
	case <-ctx.Done():
	}
	u.stop()
	u.part(ctx, u.take(func(*slot) bool { return true }))
	<-done
	u.work.Wait()
	u.transport.CloseIdleConnections()
}

// unsent is the error of a call of which nothing reached the server.
func unsent(server mapping.Server, cause error, format string, args ...any) error {
	return failed(server, false, cause, format, args...)
}

func failed(server mapping.Server, sent bool, cause error, format string, args ...any) error {
	e := fault.Wrap(fault.Upstream, &broker.Failure{Sent: sent, Cause: cause}, format, args...)
	e.Message = "server " + server.Handle + ": " + e.Message
	return e
}

// revisions are the revisions of MCP that a server may answer in, newest first.
var revisions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// errExpired says that the server no longer knows the session.
var errExpired = errors.New("the server no longer knows the session")

// hello is the params of initialize: a client that offers its server nothing.
func (u *Upstreams) hello() json.RawMessage {
	b, _ := json.Marshal(map[string]any{"protocolVersion": revisions[0], "capabilities": struct{}{},
		"clientInfo": map[string]string{"name": "ambit", "version": u.o.Version}})
	return b
}

// greeted reads the answer to initialize and returns the revision agreed on.
func greeted(r broker.Reply) (string, error) {
	var result struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	if r.Result == nil {
		return "", errors.New("initialize was refused")
	}
	if err := json.Unmarshal(r.Result, &result); err != nil || !slices.Contains(revisions, result.ProtocolVersion) {
		return "", errors.New("initialize was answered in an unknown revision")
	}
	return result.ProtocolVersion, nil
}
