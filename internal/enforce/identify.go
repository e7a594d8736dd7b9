package enforce

import (
	"context"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
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
		return nil, s.strayed(ctx, snap, token, "a person's own token does not pass the gateway; agents act under a mission")
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
		return nil, s.strayed(ctx, snap, token, "a delegated token is not good for the management API; agents do not administer")
	}
	subject, err := snap.Directory.AsDirect(token.Client)
	if err != nil {
		return nil, err
	}
	return &directing{id: token.Client, bound: token.Bound(), snap: snap, subject: subject, began: began}, nil
}

// strayed records that a known presenter came to a door that is not theirs, and
// returns the refusal.
func (s *Spine) strayed(ctx context.Context, snap *decision.Snapshot, t credential.Token, why string) error {
	e := s.record(ledger.Check, s.now(), nil)
	e.ID, e.Actor, e.Origin, e.Action = s.Mint.New(principal.Entry), t.Client, t.Origin, "door.pass"
	e.Decision, e.Binding, e.Bound, e.Revision, e.Pins = decision.Deny.String(), "link 0 standing", t.Bound(), snap.Revision, snap.Pins()
	e.Payload = encode(deed{Action: e.Action, Outcome: e.Decision, Reasons: []Finding{{Principal: t.Client, Stage: decision.Standing, Reason: why}},
		Names: labels(snap, t.Client, t.Origin)})
	if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true}); err != nil {
		return err
	}
	return fault.New(fault.Denied, "%s", why).WithHint("present a token for this door: agents at the gateway, people and machines at the API")
}
