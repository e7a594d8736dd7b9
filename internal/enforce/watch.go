package enforce

import (
	"context"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// watchEvery is how often the mandate of effects that still run is asked.
const watchEvery = 50 * time.Millisecond

// effects are those that run now, each with what ends its context. One watch
// asks about all of them: a timer of its own would cost every call more than
// asking costs the few that last. The zero value is ready.
type effects struct {
	mu      sync.Mutex
	running map[*acting]context.CancelCauseFunc
}

// begin returns the context of an effect, and what ends both.
func (e *effects) begin(ctx context.Context, a *acting) (running context.Context, done func()) {
	running, cancel := context.WithCancelCause(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		e.running = map[*acting]context.CancelCauseFunc{}
	}
	e.running[a] = cancel
	return running, func() {
		e.mu.Lock()
		delete(e.running, a)
		e.mu.Unlock()
		cancel(nil)
	}
}

// older returns the effects that began before t.
func (e *effects) older(t time.Time) map[*acting]context.CancelCauseFunc {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[*acting]context.CancelCauseFunc{}
	for a, cancel := range e.running {
		if a.began.Before(t) {
			out[a] = cancel
		}
	}
	return out
}

// settleFor bounds how long a reader waits for outcomes that are being made up.
const settleFor = 100 * time.Millisecond

// settle waits until no effect of a mission runs, or settleFor: an answer leaves
// before its outcome is on the record, and whoever got it may ask at once what
// happened. An effect that runs longer is told as one without an outcome yet.
func (e *effects) settle(ctx context.Context, mission principal.UID) {
	deadline := time.Now().Add(settleFor)
	for e.has(mission) && ctx.Err() == nil && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
}

func (e *effects) has(mission principal.UID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for a := range e.running {
		if a.subject.Chain.Mission.ID == mission {
			return true
		}
	}
	return false
}

// Watch ends effects whose chain no longer holds, until ctx ends: a long call is
// a point of enforcement too, and a revoke cuts it (SEMANTICS section 9). It MUST
// run beside Act.
func (s *Spine) Watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for a, cancel := range s.effects.older(time.Now().Add(-watchEvery)) {
			if why := s.ended(a); why != nil {
				cancel(why)
			}
		}
	}
}

// ended says why a's chain no longer holds now, nil while it does. A replica that
// does not know says so, and that ends it too.
func (s *Spine) ended(a *acting) error {
	snap, err := s.State.Current()
	if err != nil {
		return err
	}
	subject, err := s.chain(snap, a.token)
	if err != nil {
		return err
	}
	v := decision.Decide(snap, decision.Request{Subject: subject, Action: mapping.Action{Server: a.server.ID, Tool: a.action.Tool, Name: a.action.Name},
		Scope: decision.Session, Mission: a.call.Mission, At: s.now()})
	if f, bound := v.Binding(); bound && !v.Allowed() {
		return fault.New(fault.Denied, "%s", f.Reason)
	}
	return nil
}
