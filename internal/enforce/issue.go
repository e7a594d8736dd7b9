package enforce

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// Grant and token types (RFC 7523, RFC 8693).
const (
	GrantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	TypeJWT            = "urn:ietf:params:oauth:token-type:jwt"
	TypeAccessToken    = "urn:ietf:params:oauth:token-type:access_token"
)

// tokenLife is how long an access token may live. Nothing is renewed silently:
// every renewal is an exchange, decided and recorded.
const tokenLife = 5 * time.Minute

// An Exchange is a token request as the OAuth face parsed it.
type Exchange struct {
	GrantType           string
	ClientID            string
	ClientAssertion     string
	ClientAssertionType string
	SubjectToken        string
	SubjectTokenType    string
	ActorToken          string
	ActorTokenType      string
	// Delegation is the hop statement, signed by the subject token's holder, that
	// makes a child.
	Delegation string
	Assertion  string // of a jwt-bearer grant
	Resource   string // the one audience asked for (RFC 8707)
	Proof      Presented
}

// Issued is a token response.
type Issued struct {
	AccessToken          string
	TokenType            string // DPoP or Bearer
	IssuedTokenType      string
	ExpiresIn            int // seconds
	AuthorizationDetails json.RawMessage
	Mission, Hop         principal.UID
}

// an issuing is a token request on its way through the spine.
type issuing struct {
	x     Exchange
	snap  *decision.Snapshot
	at    time.Time
	began time.Time
	once  []ledger.Once // every signed thing presented, to be used up
	jkt   string        // thumbprint of the DPoP proof's key, "" when none came
	mint  credential.Token
	// chain is the chain the token is for; its last hop may not be stored yet.
	chain   delegation.Chain
	kind    string // "direct", "root", "child", "renewal"
	rows    []ledger.Row
	charges []ledger.Charge
	made    *delegation.Hop
	key     json.RawMessage // public, the one that made confirms
}

// Issue verifies what a token request presents, decides it, records it and mints
// the token: the entry is durable before the credential leaves. A refusal wraps
// one of credential's OAuth errors, and *Denied when it was decided.
func (s *Spine) Issue(ctx context.Context, x Exchange) (Issued, error) {
	snap, err := s.State.Current()
	if err != nil {
		return Issued{}, err
	}
	for range redecide {
		n := &issuing{x: x, snap: snap, at: s.now(), began: time.Now()}
		out, err := s.issue(ctx, n)
		if !errors.Is(err, ledger.ErrMoved) {
			return out, err
		}
		if snap, err = s.State.AtLeast(ctx, snap.Revision+1); err != nil {
			return Issued{}, err
		}
	}
	return Issued{}, fault.New(fault.Unavailable, "the facts behind this token kept changing").WithHint("retry")
}

func (s *Spine) issue(ctx context.Context, n *issuing) (Issued, error) {
	switch n.x.GrantType {
	case GrantJWTBearer:
		return s.issueDirect(ctx, n)
	case GrantTokenExchange:
	default:
		return Issued{}, credential.Refuse(credential.ErrInvalidRequest, "grant_type is token-exchange or jwt-bearer")
	}
	client, err := s.client(n)
	if err != nil {
		return Issued{}, err
	}
	if err := s.proofKey(n); err != nil {
		return Issued{}, err
	}
	switch {
	case n.x.SubjectTokenType == TypeJWT:
		err = s.exchangeRoot(n, client)
	case n.x.SubjectTokenType == TypeAccessToken && n.x.Delegation != "":
		err = s.exchangeChild(n, client)
	case n.x.SubjectTokenType == TypeAccessToken:
		err = s.exchangeSame(n, client)
	default:
		err = credential.Refuse(credential.ErrInvalidRequest, "subject_token_type is jwt (a signed mission) or access_token")
	}
	if err != nil {
		return Issued{}, s.misissued(ctx, n, client, plainly(n.snap, err))
	}
	return s.issueDelegated(ctx, n)
}

// issueDelegated decides and commits a delegated token, then mints it.
func (s *Spine) issueDelegated(ctx context.Context, n *issuing) (Issued, error) {
	if err := s.bind(n); err != nil {
		return Issued{}, err
	}
	srv, err := s.audience(n)
	if err != nil {
		return Issued{}, err
	}
	r := decision.Request{Subject: directory.Delegated{Chain: n.chain}, Scope: decision.Session, At: n.at,
		Action: mapping.Action{Server: srv.ID, Name: "token.issue"}}
	if n.kind == "child" {
		r.Scope = decision.Making
		r.Action = mapping.Action{Server: srv.ID, Name: "hop.create", Resource: "Blueprint:" + string(n.chain.Acting().Blueprint)}
	}
	asked := r
	if n.made != nil { // the new delegate is judged from the directory it will be in
		next, err := n.snap.Apply(n.snap.Revision, n.rows)
		if err != nil {
			return Issued{}, err
		}
		return s.finish(ctx, n, decision.Decide(next, asked), r.Action)
	}
	return s.finish(ctx, n, decision.Decide(n.snap, asked), r.Action)
}

func (s *Spine) finish(ctx context.Context, n *issuing, v decision.Verdict, action mapping.Action) (Issued, error) {
	d := render(n.snap, v, s.Mint.New(principal.Entry), time.Since(n.began))
	hop := n.chain.Acting()
	root := n.chain.Hops[0]
	n.mint = credential.Token{ID: d.Entry, Issuer: s.Issuer, Origin: n.chain.Mission.Origin, Client: hop.Delegate,
		Audience: n.x.Resource, Issued: n.at, Expiry: earliest(n.at.Add(tokenLife), hop.Expiry), JKT: n.jkt,
		Mission: hop.Mission, AuthorityHash: hashOf(hop.Effective), Hop: hop.ID, Parent: hop.Parent, Depth: hop.Depth,
		MaxDepth: delegation.MaxDepth(n.chain), Root: root.ID, Txn: runOf(hop.ID), Authority: hop.Effective}
	for i := len(n.chain.Hops); i > 0; i-- {
		n.mint.Actors = append(n.mint.Actors, n.chain.Link(i))
	}
	e := s.record(ledger.Issue, n.at, &n.chain)
	e.ID, e.Server, e.Action, e.Decision = d.Entry, action.Server, action.Name, d.Outcome
	e.Bound, e.Revision, e.Pins = n.mint.Bound(), n.snap.Revision, n.snap.Pins()
	e.Payload = s.issuedPayload(n, d)
	if !v.Allowed() {
		e.Binding = "link " + strconv.Itoa(d.Link) + " " + d.Stage
		if n.made != nil { // the hop was never made: the parent acted
			e = s.actedBy(e, n)
		}
		if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Entry: e, Lazy: true}); err != nil {
			return Issued{}, err
		}
		return Issued{}, errors.Join(credential.Refuse(credential.ErrUnauthorized, "%s", d.Sentence()), denied(d))
	}
	if n.made != nil {
		// Counted in the run of who made it: evidence that leaves a sub-agent out
		// leaves a gap there.
		e.Run = runOf(n.made.Parent)
	}
	c, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Conditions: v.Conditions(),
		Charges: n.charges, Rows: n.rows, Once: n.once, Entry: e})
	if err != nil {
		if errors.Is(err, ledger.ErrLimit) {
			return Issued{}, credential.Refuse(credential.ErrInvalidGrant, "the parent's limits do not allow this hop: %v", message(err))
		}
		return Issued{}, err
	}
	if len(n.rows) > 0 {
		s.seen(ctx, c)
	}
	return s.sign(n)
}

// actedBy re-heads an entry to the parent of a hop that was refused.
func (s *Spine) actedBy(e ledger.Entry, n *issuing) ledger.Entry {
	parent := n.chain.Hops[len(n.chain.Hops)-2]
	e.Actor, e.Hop, e.Run, e.Delegation = parent.Delegate, parent.ID, runOf(parent.ID), parent.Commitment
	return e
}

type issuance struct {
	Kind    string                   `json:"kind"`
	Token   map[string]any           `json:"token,omitempty"`
	Hop     *delegation.Hop          `json:"hop,omitempty"`
	Key     json.RawMessage          `json:"key,omitempty"` // that the hop confirms: evidence of a mission holds its keys
	Rows    []ledger.Row             `json:"rows,omitempty"`
	Outcome string                   `json:"outcome"`
	Reason  string                   `json:"reason,omitempty"`
	Names   map[principal.UID]string `json:"names"`
}

func (s *Spine) issuedPayload(n *issuing, d Decision) json.RawMessage {
	p := issuance{Kind: n.kind, Outcome: d.Outcome, Reason: d.Reason, Hop: n.made, Key: n.key, Names: map[principal.UID]string{},
		Token: map[string]any{"jti": n.mint.ID, "aud": n.mint.Audience, "exp": n.mint.Expiry.Unix(), "bound": n.mint.Bound()}}
	if d.Allowed() {
		p.Rows = n.rows // what the leaf's rows digest is of; a refusal changed nothing
	}
	if n.made != nil {
		maps.Copy(p.Names, hopNames(n.snap, *n.made))
	}
	dir := n.snap.Directory
	for i := range len(n.chain.Hops) + 1 {
		id := n.chain.Link(i)
		p.Names[id] = dir.Label(id)
		if n.made != nil && i == len(n.chain.Hops) && p.Names[id] == string(id) {
			p.Names[id] = dir.Label(n.made.Blueprint) + " (sub-agent)"
		}
	}
	if s, ok := n.snap.Catalogue.ServerByHandle(strings.TrimPrefix(n.mint.Audience, s.Issuer+"/mcp/")); ok {
		p.Names[s.ID] = s.Handle
	}
	return encode(p)
}

// audience finds the server whose gateway the token is asked for.
func (s *Spine) audience(n *issuing) (mapping.Server, error) {
	handle, ok := strings.CutPrefix(n.x.Resource, s.Issuer+"/mcp/")
	srv, known := n.snap.Catalogue.ServerByHandle(handle)
	if !ok || !known {
		return srv, credential.Refuse(credential.ErrInvalidTarget, "resource must name a server: %s/mcp/{server}", s.Issuer)
	}
	return srv, nil
}

// bind decides which key the token is bound to. Without a proof of possession
// only a blueprint that says so gets a bearer token, and it is recorded as one.
func (s *Spine) bind(n *issuing) error {
	hop := n.chain.Acting()
	if n.kind == "child" {
		n.jkt = hop.JKT // the child proved its key; the proof was the parent's
		return nil
	}
	b, _ := n.snap.Directory.Blueprint(hop.Blueprint)
	if n.jkt == "" && !b.Bearer {
		return credential.Refuse(credential.ErrInvalidDPoPProof, "a DPoP proof is required: blueprint %s does not allow bearer tokens", b.Handle)
	}
	if n.jkt != "" && n.jkt != hop.JKT {
		return credential.Refuse(credential.ErrInvalidDPoPProof, "the DPoP proof is not by the key that the hop confirms")
	}
	return nil
}

func (s *Spine) sign(n *issuing) (Issued, error) {
	claims, err := n.mint.Claims()
	if err != nil {
		return Issued{}, err
	}
	jwt, err := s.Tokens.SignJWT(credential.AccessTokenType, claims)
	if err != nil {
		return Issued{}, fault.Wrap(fault.Internal, err, "signing")
	}
	out := Issued{AccessToken: jwt, TokenType: "Bearer", IssuedTokenType: TypeAccessToken,
		ExpiresIn: int(n.mint.Expiry.Sub(n.at) / time.Second), Mission: n.mint.Mission, Hop: n.mint.Hop}
	if n.mint.JKT != "" {
		out.TokenType = "DPoP"
	}
	if n.mint.Hop != "" {
		out.AuthorizationDetails = encode(n.mint.Authority)
	}
	return out, nil
}

func hashOf(a authority.Set) string {
	c, err := proof.Canonical(encode(a))
	if err != nil {
		panic("enforce: authority: " + err.Error()) // encode made it
	}
	return proof.Hash(c)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// message is what may be said of err.
func message(err error) string {
	m, _ := fault.Safe(err)
	return m
}
