package upstream

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/jsonrpc"
	"github.com/ambit-iam/ambit/internal/stdio"
)

// manyNotes is how many notifications wait for one call; a call that takes them
// slower loses the newest, rather than hold up everybody else's answers.
const manyNotes = 64

// A pipeLink is one session over stdio: one child process, shared by the calls of
// its key.
type pipeLink struct {
	server mapping.Server
	env    map[string]string
	proc   *stdio.Process
	read   chan struct{} // closed when the last message is read

	mu      sync.Mutex // guards all fields below
	last    int64      // id of the last request
	waiting map[int64]*waiter
	ended   bool
}

// A waiter is a call that waits for its answer.
type waiter struct {
	reply chan broker.Reply // of one
	notes chan json.RawMessage
	token json.RawMessage // the caller's progress token; nil when it wants no progress
}

// startProcess starts a child and greets it. Nothing of any call is sent yet.
func (u *Upstreams) startProcess(ctx context.Context, o broker.Opened) (link, error) {
	server := o.Server()
	proc, err := stdio.Start(stdio.Command{Argv: server.Command, Dir: server.Dir, Env: o.Env(), MaxLine: u.o.MaxAnswer, Log: u.o.Log})
	if err != nil {
		return nil, unsent(server, err, "its process does not start")
	}
	l := &pipeLink{server: server, env: maps.Clone(o.Env()), proc: proc, read: make(chan struct{}), waiting: map[int64]*waiter{}}
	go l.receive()
	r, err := l.call(ctx, o, "initialize", u.hello(), nil)
	if err == nil {
		_, err = greeted(r)
	}
	if err == nil {
		_, err = proc.Send(jsonrpc.AppendNotification(nil, "notifications/initialized", nil))
	}
	if err != nil {
		now, cancel := context.WithCancel(ctx)
		cancel() // it did not even say hello: no time to say goodbye
		l.close(now)
		return nil, unsent(server, err, "its process does not speak MCP")
	}
	return l, nil
}

// fits: a process has the command and the secrets that it was started with.
func (l *pipeLink) fits(o broker.Opened) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := o.Server()
	return !l.ended && slices.Equal(s.Command, l.server.Command) && s.Dir == l.server.Dir && maps.Equal(o.Env(), l.env)
}

// call implements link.
func (l *pipeLink) call(ctx context.Context, _ broker.Opened, method string, params json.RawMessage, notify func(json.RawMessage)) (broker.Reply, error) {
	if ctx.Err() != nil {
		return broker.Reply{}, unsent(l.server, context.Cause(ctx), "%s was given up before it was sent", method)
	}
	w := &waiter{reply: make(chan broker.Reply, 1)}
	if notify != nil {
		w.notes = make(chan json.RawMessage, manyNotes)
		w.token = jsonrpc.Member(jsonrpc.Member(params, "_meta"), "progressToken")
	}
	id, ok := l.enter(w)
	if !ok {
		return broker.Reply{}, unsent(l.server, stdio.ErrClosed, "its process has ended")
	}
	defer l.leave(id)
	if w.token != nil {
		// Callers choose their tokens, and two that share the process may choose
		// alike: on the pipe the token is the id, which is nobody else's.
		if own, ok := jsonrpc.Replace(params, strconv.AppendInt(nil, id, 10), "_meta", "progressToken"); ok {
			params = own
		}
	}
	frame := jsonrpc.AppendRequest(make([]byte, 0, len(params)+len(method)+64), id, method, nil)
	if params != nil {
		frame = append(frame[:len(frame)-1], `,"params":`...)
		frame = append(jsonrpc.AppendLine(frame, params), '}')
	}
	if sent, err := l.proc.Send(frame); err != nil {
		return broker.Reply{}, failed(l.server, sent, err, "%s could not be written", method)
	}
	return l.wait(ctx, id, method, w, notify)
}

// wait passes notifications on until the answer, the end of the process or of ctx.
func (l *pipeLink) wait(ctx context.Context, id int64, method string, w *waiter, notify func(json.RawMessage)) (broker.Reply, error) {
	for {
		select {
		case n := <-w.notes:
			notify(n)
		case r := <-w.reply:
			return w.rest(r, notify), nil
		case <-l.read:
			select { // the answer may have been the last it wrote
			case r := <-w.reply:
				return w.rest(r, notify), nil
			default:
				return broker.Reply{}, failed(l.server, true, stdio.ErrClosed, "its process ended before it answered %s", method)
			}
		case <-ctx.Done():
			_, _ = l.proc.Send(cancellation(id))
			return broker.Reply{}, failed(l.server, true, context.Cause(ctx), "%s was given up before it was answered", method)
		}
	}
}

// rest passes on the notifications that came before the answer.
func (w *waiter) rest(r broker.Reply, notify func(json.RawMessage)) broker.Reply {
	for {
		select {
		case n := <-w.notes:
			notify(n)
		default:
			return r
		}
	}
}

func (l *pipeLink) enter(w *waiter) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, false
	}
	l.last++
	l.waiting[l.last] = w
	return l.last, true
}

func (l *pipeLink) leave(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
}

func (l *pipeLink) waiter(id []byte) *waiter {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting[n]
}

// receive reads what the process says until it ends. A line that is no message is
// skipped: many a server greets its terminal first.
func (l *pipeLink) receive() {
	defer close(l.read)
	for {
		line, err := l.proc.Receive()
		if err != nil {
			break
		}
		m, err := jsonrpc.ParseReply(line)
		switch {
		case err != nil:
		case m.Request():
			_, _ = l.proc.Send(jsonrpc.AppendLine(nil, rejection(m)))
		case m.Notification():
			l.note(m, line)
		default:
			if w := l.waiter(m.ID); w != nil {
				select {
				case w.reply <- broker.Reply{Result: m.Result, Error: m.Error}:
				default: // a second answer to one request
				}
			}
		}
	}
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
}

// note passes progress to the call that it belongs to, under the caller's token.
// Other notifications belong to no call.
func (l *pipeLink) note(m jsonrpc.Message, line []byte) {
	if m.Method != "notifications/progress" {
		return
	}
	w := l.waiter(jsonrpc.Member(m.Params, "progressToken"))
	if w == nil || w.token == nil {
		return
	}
	if own, ok := jsonrpc.Replace(line, w.token, "params", "progressToken"); ok {
		select {
		case w.notes <- own:
		default:
		}
	}
}

// close implements link.
func (l *pipeLink) close(ctx context.Context) {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.proc.Close(ctx)
	<-l.read
}
