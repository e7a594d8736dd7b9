package enforce

import (
	"context"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/fault"
)

// identify does steps 3 to 5 of the walk: token and key binding, then the chain
// that the server recorded for the token's hop. What the token says of its chain
// is not asked: the recorded graph is the truth.
func (s *Spine) identify(ctx context.Context, call Call) (*acting, error) {
	began := time.Now()
	snap, err := s.State.Current()
	if err != nil {
		return nil, err
	}
	at := s.now()
	token, err := s.Credentials.Access(call.Presented, s.Resource(call.Server), at)
	if err != nil {
		return nil, err
	}
	if !token.Delegated() {
		return nil, fault.New(fault.Denied, "a person's own token does not pass the gateway; agents act under a mission").
			WithHint("exchange a mission for a delegated token")
	}
	subject, err := s.chain(snap, token)
	if err != nil {
		return nil, err
	}
	srv, ok := snap.Catalogue.ServerByHandle(call.Server)
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no server %q", call.Server)
	}
	return &acting{call: call, token: token, snap: snap, subject: subject, server: srv, at: at, began: began}, nil
}

// chain resolves a token's hop in a snapshot. The token must be the acting
// agent's and bound to the key of its hop.
func (s *Spine) chain(snap *decision.Snapshot, t credential.Token) (directory.Delegated, error) {
	c, err := snap.Missions.Chain(t.Hop)
	if err != nil {
		return directory.Delegated{}, fault.Wrap(fault.Unauthenticated, err, "the token's delegation is not known here")
	}
	hop := c.Acting()
	if hop.Delegate != t.Client || c.Mission.ID != t.Mission || c.Mission.Origin != t.Origin || (t.JKT != "" && t.JKT != hop.JKT) {
		return directory.Delegated{}, fault.New(fault.Unauthenticated, "the token does not fit the delegation it names")
	}
	// A key is withdrawn because somebody else may have it. No token outlives that,
	// and nothing that was delegated with the key.
	for _, h := range c.Hops {
		if _, ok := snap.Directory.KeyOf(h.Delegate, h.JKT); !ok {
			return directory.Delegated{}, fault.New(fault.Unauthenticated, "the key that hop %s confirms was withdrawn from its agent", h.ID).
				WithHint("start a new mission for the agent's present key")
		}
	}
	return directory.Delegated{Chain: c}, nil
}

// direct verifies a token for the management API.
func (s *Spine) direct(ctx context.Context, p Presented) (*directing, error) {
	began := time.Now()
	snap, err := s.State.Current()
	if err != nil {
		return nil, err
	}
	token, err := s.Credentials.Access(p, s.API(), s.now())
	if err != nil {
		return nil, err
	}
	if token.Delegated() {
		return nil, fault.New(fault.Denied, "a delegated token is not good for the management API; agents do not administer")
	}
	subject, err := snap.Directory.AsDirect(token.Client)
	if err != nil {
		return nil, err
	}
	return &directing{id: token.Client, bound: token.Bound(), snap: snap, subject: subject, began: began}, nil
}
