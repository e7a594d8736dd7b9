package enforce

import (
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/principal"
)

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

// proofKey verifies the request's DPoP proof, if it has one. Proofs that were used
// take room, and anybody can make a key: it is asked of those who are known.
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
