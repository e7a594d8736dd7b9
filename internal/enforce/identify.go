package enforce

import (
	"context"
	"strconv"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
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
		return nil, fault.New(fault.Denied, "a delegated token is not good for the management API")
	}
	subject, err := snap.Directory.AsDirect(token.Client)
	if err != nil {
		return nil, err
	}
	return &directing{id: token.Client, bound: token.Bound(), snap: snap, subject: subject, began: began}, nil
}

// A client is who authenticated to the token endpoint, and with which key.
type client struct {
	id       principal.UID
	jkt      string
	jwk      []byte
	enrolled bool
}

// client authenticates the token request's client by private_key_jwt. For an
// agent of a known hop the key may be enrolled or the one its hop confirms.
func (s *Spine) client(n *issuing) (client, error) {
	if n.x.ClientAssertionType != assertionType {
		return client{}, credential.Refuse(credential.ErrInvalidClient, "client_assertion_type must be %s", assertionType)
	}
	a, err := credential.CheckAssertion(n.x.ClientAssertion, credential.ClientType, s.Issuer, n.at, n.keyOf)
	if err != nil {
		return client{}, err
	}
	if n.x.ClientID != "" && n.x.ClientID != a.Subject {
		return client{}, credential.Refuse(credential.ErrInvalidClient, "client_id and the client assertion name different clients")
	}
	n.once = append(n.once, a.Once())
	c := client{id: principal.UID(a.Subject), jkt: a.JKT, jwk: a.JWK, enrolled: true}
	if !c.id.Is(principal.Agent) {
		return client{}, credential.Refuse(credential.ErrInvalidClient, "only agents exchange tokens; people use the jwt-bearer grant")
	}
	if why := n.snap.Directory.Standing(c.id, n.at); why != "" {
		return client{}, credential.Refuse(credential.ErrInvalidClient, "this client may not act: %s", why)
	}
	return c, nil
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// keyOf finds an enrolled key by what an assertion claims, unverified.
func (n *issuing) keyOf(subject, kid string) []byte {
	k, _ := n.snap.Directory.KeyOf(principal.UID(subject), kid)
	return k.JWK
}

// actor checks that the actor token is the client's own: an exchange without an
// actor, or by another one, would shed or borrow a link of the chain.
func (s *Spine) actor(n *issuing, c client) error {
	if n.x.ActorToken == "" || n.x.ActorTokenType != TypeJWT {
		return credential.Refuse(credential.ErrInvalidRequest, "an actor_token of type jwt is required: nobody takes a mission without saying who acts")
	}
	a, err := credential.CheckAssertion(n.x.ActorToken, credential.ActorType, s.Issuer, n.at, n.keyOf)
	if err != nil {
		return err
	}
	n.once = append(n.once, a.Once())
	if principal.UID(a.Subject) != c.id || a.JKT != c.jkt {
		return credential.Refuse(credential.ErrInvalidGrant, "the actor token is another agent's")
	}
	return nil
}

// childActor checks the actor token of a child: an enrolled agent's, or a
// newcomer's with its own public key in the header.
func (s *Spine) childActor(n *issuing) (client, error) {
	if n.x.ActorToken == "" || n.x.ActorTokenType != TypeJWT {
		return client{}, credential.Refuse(credential.ErrInvalidRequest, "an actor_token of the delegate is required")
	}
	a, err := credential.CheckNewcomer(n.x.ActorToken, s.Issuer, n.at)
	enrolled := false
	if err != nil {
		known, err2 := credential.CheckAssertion(n.x.ActorToken, credential.ActorType, s.Issuer, n.at, n.keyOf)
		if err2 != nil {
			return client{}, err
		}
		a, enrolled = known, true
	}
	id, perr := principal.Parse(a.Subject)
	if perr != nil || !id.Is(principal.Agent) {
		return client{}, credential.Refuse(credential.ErrInvalidRequest, "the actor token's subject is not an agent uid")
	}
	if _, ok := n.snap.Directory.KeyOf(id, a.JKT); ok {
		enrolled = true
	}
	n.once = append(n.once, a.Once())
	return client{id: id, jkt: a.JKT, jwk: a.JWK, enrolled: enrolled}, nil
}

// subjectToken verifies a delegated token that is exchanged. When it is bound,
// the presenter proves its key now: a token that was seen is not one that is held.
func (s *Spine) subjectToken(n *issuing) (credential.Token, error) {
	t, err := s.Credentials.Subject(n.x.SubjectToken, n.at)
	if err != nil {
		return t, err
	}
	if !t.Delegated() {
		return t, credential.Refuse(credential.ErrInvalidGrant, "the subject token is of no mission")
	}
	if t.JKT != "" && t.JKT != n.jkt {
		return t, credential.Refuse(credential.ErrInvalidDPoPProof, "the subject token is bound to another key than the DPoP proof's")
	}
	if _, err := s.chain(n.snap, t); err != nil {
		return t, credential.Refuse(credential.ErrInvalidGrant, "the subject token's delegation is not known here")
	}
	return t, nil
}

// proofKey verifies the request's DPoP proof, if it has one.
func (s *Spine) proofKey(n *issuing) error {
	if n.x.Proof.Proof == "" {
		return nil
	}
	p, err := s.Credentials.Proof(n.x.Proof, "", n.at)
	if err != nil {
		return err
	}
	n.jkt = p.JKT
	return nil
}

// issueDirect signs in a person or workload with an enrolled key (RFC 7523).
func (s *Spine) issueDirect(ctx context.Context, n *issuing) (Issued, error) {
	if n.x.Resource != s.API() {
		return Issued{}, credential.Refuse(credential.ErrInvalidTarget, "resource must be %s", s.API())
	}
	var id principal.UID
	a, err := credential.CheckAssertion(n.x.Assertion, credential.LoginType, s.Issuer, n.at, func(subject, kid string) []byte {
		for _, kind := range []string{"user", "workload"} {
			if found, ok := n.snap.Directory.Resolve(kind, subject); ok {
				id = found
				return n.keyOf(string(found), kid)
			}
		}
		return nil
	})
	if err != nil {
		return Issued{}, err
	}
	n.once = append(n.once, a.Once())
	subject, err := n.snap.Directory.AsDirect(id)
	if err != nil {
		return Issued{}, credential.Refuse(credential.ErrUnauthorized, "an agent does not sign in")
	}
	d := &directing{id: id, bound: "bearer", snap: n.snap, subject: subject, began: n.began}
	if n.jkt != "" {
		d.bound = "dpop"
	}
	v, dec, t, err := s.manage(d, func(*decision.Snapshot) (target, error) {
		return target{action: "sign-in", resource: "Organisation:" + string(s.Tenant)}, nil
	}, "")
	if err != nil {
		return Issued{}, err
	}
	if !v.Allowed() {
		return Issued{}, s.refused(ctx, d, t, dec)
	}
	n.mint = credential.Token{ID: dec.Entry, Issuer: s.Issuer, Origin: id, Client: id, Audience: s.API(),
		Issued: n.at, Expiry: n.at.Add(tokenLife), JKT: n.jkt}
	e := s.managed(ledger.Issue, d, t, dec)
	e.Payload = encode(issuance{Kind: "direct", Outcome: dec.Outcome, Names: labels(n.snap, id),
		Token: map[string]any{"jti": n.mint.ID, "aud": n.mint.Audience, "exp": n.mint.Expiry.Unix(), "bound": d.bound, "key": a.JKT}})
	if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Conditions: v.Conditions(), Once: n.once, Entry: e}); err != nil {
		return Issued{}, err
	}
	return s.sign(n)
}

// misissued records a refused exchange of a known client: an attempt to widen a
// delegation is evidence too.
func (s *Spine) misissued(ctx context.Context, n *issuing, c client, why error) error {
	kind := fault.KindOf(why)
	if kind == fault.Internal || kind == fault.Unavailable {
		return why
	}
	message, _ := fault.Safe(why)
	e := s.record(ledger.Issue, n.at, nil)
	e.ID, e.Actor, e.Action, e.Decision = s.Mint.New(principal.Entry), c.id, "token.issue", decision.Deny.String()
	e.Bound, e.Revision, e.Pins, e.Binding = "jws", n.snap.Revision, n.snap.Pins(), "link 0 ceiling"
	if t, err := s.Credentials.Subject(n.x.SubjectToken, n.at); err == nil && t.Delegated() {
		if chain, err := n.snap.Missions.Chain(t.Hop); err == nil && chain.Acting().Delegate == c.id {
			e = s.ofChain(e, chain)
		}
	}
	e.Payload = encode(issuance{Kind: "refused", Outcome: e.Decision, Reason: message, Names: labels(n.snap, c.id)})
	if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true}); err != nil {
		return err
	}
	return why
}

// ofChain heads an entry with a chain.
func (s *Spine) ofChain(e ledger.Entry, c delegation.Chain) ledger.Entry {
	h := s.record(e.Kind, e.Time, &c)
	e.Actor, e.Origin, e.Mission, e.Hop, e.Run, e.Delegation = h.Actor, h.Origin, h.Mission, h.Hop, h.Run, h.Delegation
	e.Binding = "link " + strconv.Itoa(len(c.Hops)) + " ceiling"
	return e
}
