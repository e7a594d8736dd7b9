package enforce

import (
	"cmp"
	"context"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
)

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
	if err := s.proofKey(n); err != nil {
		return Issued{}, err
	}
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
		Issued: n.at, Expiry: n.at.Add(cmp.Or(s.SignIn, tokenLife)), JKT: n.jkt}
	e := s.managed(ledger.Issue, d, t, dec)
	e.Payload = encode(issuance{Kind: "direct", Outcome: dec.Outcome, Names: labels(n.snap, id),
		Token: map[string]any{"jti": n.mint.ID, "aud": n.mint.Audience, "exp": n.mint.Expiry.Unix(), "bound": d.bound, "key": a.JKT}})
	if _, err := ledger.Append(ctx, s.Store, ledger.Commit{Tenant: s.Tenant, At: -1, Conditions: v.Conditions(), Once: n.once, Entry: e}); err != nil {
		return Issued{}, err
	}
	return s.sign(n)
}
