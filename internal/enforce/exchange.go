package enforce

import (
	"context"
	"strconv"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// exchangeRoot takes a person's signed mission to the agent that it names.
func (s *Spine) exchangeRoot(n *issuing, client client) error {
	st, _, err := proof.ParseStatement(n.x.SubjectToken)
	if err != nil {
		return credential.Refuse(credential.ErrInvalidGrant, "the mission statement does not parse: %v", err)
	}
	hop, ok := n.snap.Missions.Hop(principal.UID(st.ID))
	// The statement that was started is the one that counts, byte for byte: its
	// signature was verified then, and its bytes are in the ledger.
	if !ok || hop.Parent != "" || hop.Statement != n.x.SubjectToken {
		return credential.Refuse(credential.ErrInvalidGrant, "this mission was not started here")
	}
	if err = s.actor(n, client); err != nil {
		return err
	}
	if hop.Delegate != client.id || hop.JKT != client.jkt {
		return credential.Refuse(credential.ErrInvalidGrant, "the mission names another agent or another key")
	}
	n.kind = "root"
	n.chain, err = n.snap.Missions.Chain(hop.ID)
	return err
}

// exchangeSame renews a delegated token for its own holder, perhaps for another
// server of the mission. Nobody else may: a chain is not handed on by handing
// on its token (vectors V1 to V5).
func (s *Spine) exchangeSame(n *issuing, client client) error {
	token, err := s.subjectToken(n)
	if err != nil {
		return err
	}
	if err := s.actor(n, client); err != nil {
		return err
	}
	if token.Client != client.id {
		return credential.Refuse(credential.ErrInvalidGrant, "the subject token is another agent's; to hand work on, its holder signs a delegation")
	}
	if n.chain, err = n.snap.Missions.Chain(token.Hop); err != nil {
		return err
	}
	if n.chain.Acting().JKT != client.jkt {
		return credential.Refuse(credential.ErrInvalidGrant, "the hop was made for another key")
	}
	n.kind = "renewal"
	return nil
}

// exchangeChild makes a narrower hop to another agent, new or known, and mints
// the child's token. The presenter is the parent: its client authentication,
// its bound token, its signature on the hop. The child proves its own key with
// the actor token.
func (s *Spine) exchangeChild(n *issuing, parent client) error {
	token, err := s.subjectToken(n)
	if err != nil {
		return err
	}
	if token.Client != parent.id {
		return credential.Refuse(credential.ErrInvalidGrant, "only the holder of a delegated token can delegate from it")
	}
	chain, err := n.snap.Missions.Chain(token.Hop)
	if err != nil {
		return err
	}
	if chain.Acting().JKT != parent.jkt {
		return credential.Refuse(credential.ErrInvalidGrant, "the hop was made for another key")
	}
	child, err := s.childActor(n)
	if err != nil {
		return err
	}
	st, kid, err := proof.ParseStatement(n.x.Delegation)
	if err != nil {
		return credential.Refuse(credential.ErrInvalidGrant, "the delegation does not parse: %v", err)
	}
	if kid != parent.jkt {
		return credential.Refuse(credential.ErrInvalidGrant, "the delegation is not signed with the key that the parent's hop confirms")
	}
	if st, err = proof.VerifyStatement(n.x.Delegation, parent.jwk); err != nil {
		return credential.Refuse(credential.ErrInvalidGrant, "the delegation's signature does not verify")
	}
	if st.Audience != s.Issuer || st.Subject != string(child.id) || st.Confirm.JKT != child.jkt {
		return credential.Refuse(credential.ErrInvalidGrant, "the delegation names another issuer, agent or key than the actor token")
	}
	return s.makeHop(n, chain, st, child)
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
