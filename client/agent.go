package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// URNs of RFC 8693 and RFC 7523.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// renewBefore is how long before its end a token is renewed.
const renewBefore = 30 * time.Second

// An Agent is an identity of the directory and the key that proves it.
type Agent struct {
	Issuer string // the server's issuer URL
	ID     string // uid
	Key    *Key
	// Bearer asks for tokens that are not bound to the key. The server refuses
	// unless the agent's blueprint says so, and records them as bearer.
	Bearer bool
	// HTTP carries requests; nil means http.DefaultClient.
	HTTP *http.Client
}

func (a *Agent) http() *http.Client {
	if a.HTTP != nil {
		return a.HTTP
	}
	return http.DefaultClient
}

// A Mission is an agent's place in a mission: it renews its own tokens, one for
// each server, and delegates narrower parts.
type Mission struct {
	agent     *Agent
	statement string // the root statement, or the hop's, as signed

	mu     sync.Mutex       // protects tokens
	tokens map[string]Token // by server
}

// Take takes a mission that a person signed and started: statement is the root
// hop's compact JWS, server the handle of the first server to be used.
func (a *Agent) Take(ctx context.Context, statement, server string) (*Mission, error) {
	t, err := a.exchange(ctx, server, func(form url.Values) error {
		form.Set("subject_token", statement)
		form.Set("subject_token_type", typeJWT)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Mission{agent: a, statement: statement, tokens: map[string]Token{server: t}}, nil
}

// exchange asks for a token for a server as this agent; more adds what is
// special about the request.
func (a *Agent) exchange(ctx context.Context, server string, more func(url.Values) error) (Token, error) {
	var k *Key
	if !a.Bearer {
		k = a.Key
	}
	return exchange(ctx, a.http(), a.Issuer, k, func() (url.Values, error) {
		auth, err := assertion(a.Key, "client-authentication+jwt", a.ID, a.Issuer, false)
		if err != nil {
			return nil, err
		}
		actor, err := assertion(a.Key, "ambit-actor+jwt", a.ID, a.Issuer, false)
		if err != nil {
			return nil, err
		}
		form := url.Values{"grant_type": {grantExchange}, "client_id": {a.ID}, "client_assertion_type": {assertionType},
			"client_assertion": {auth}, "actor_token": {actor}, "actor_token_type": {typeJWT},
			"resource": {a.Issuer + "/mcp/" + server}}
		return form, more(form)
	})
}

// ID returns the mission's uid.
func (m *Mission) ID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tokens {
		return t.Mission
	}
	return ""
}

// Token returns a live token for a server, renewing or exchanging as needed.
func (m *Mission) Token(ctx context.Context, server string) (Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.tokens[server]; ok && time.Until(t.Expiry) > renewBefore {
		return t, nil
	}
	var held Token
	for _, t := range m.tokens {
		if t.Expiry.After(held.Expiry) {
			held = t
		}
	}
	t, err := m.agent.exchange(ctx, server, func(form url.Values) error {
		if time.Now().Before(held.Expiry) {
			form.Set("subject_token", held.Access)
			form.Set("subject_token_type", typeAccess)
			return nil
		}
		form.Set("subject_token", m.statement)
		form.Set("subject_token_type", typeJWT)
		return nil
	})
	if err != nil {
		return Token{}, err
	}
	m.tokens[server] = t
	return t, nil
}

// A Narrow is what a sub-agent gets of its parent's authority.
type Narrow struct {
	Blueprint string          // uid of the sub-agent's class
	Authority json.RawMessage // authorization details; servers by uid
	Limits    json.RawMessage // nil for the parent's
	For       time.Duration   // 0 for as long as the parent has
	Server    string          // handle of the server of its first token
}

// An Offer is what a sub-agent shows the agent that will delegate to it: who it
// is, its key's thumbprint, and a token, good for a minute and once, by which it
// proves that it holds the key. It holds no secret.
type Offer struct {
	ID    string `json:"id"`
	JKT   string `json:"jkt"`
	Actor string `json:"actor"`
}

// A Handover is what the delegating agent gives back: the signed hop, and a token
// that is bound to the sub-agent's key and of no use to anybody else.
type Handover struct {
	Statement string `json:"statement"`
	Server    string `json:"server"`
	Token     Token  `json:"token"`
}

// NewDelegate returns a fresh identity with a key of its own, for a process that
// is about to be delegated to.
func NewDelegate(issuer string) (*Agent, error) {
	k, err := NewKey()
	if err != nil {
		return nil, err
	}
	return &Agent{Issuer: issuer, ID: newUID("agt"), Key: k}, nil
}

// Offer makes a's offer to be delegated to.
func (a *Agent) Offer() (Offer, error) {
	actor, err := assertion(a.Key, "ambit-actor+jwt", a.ID, a.Issuer, true)
	return Offer{a.ID, a.Key.Thumbprint(), actor}, err
}

// Accept takes the place in a mission that was handed over.
func (a *Agent) Accept(h Handover) *Mission {
	return &Mission{agent: a, statement: h.Statement, tokens: map[string]Token{h.Server: h.Token}}
}

// Delegate makes a narrower hop to a sub-agent, which may be another process. The
// parent signs the hop, so a stranger can verify it without the server.
func (m *Mission) Delegate(ctx context.Context, to Offer, n Narrow) (Handover, error) {
	parent, err := m.Token(ctx, n.Server)
	if err != nil {
		return Handover{}, err
	}
	hop, err := m.hop(to, n, parent)
	if err != nil {
		return Handover{}, err
	}
	t, err := m.agent.exchange(ctx, n.Server, func(form url.Values) error {
		form.Set("actor_token", to.Actor)
		form.Set("subject_token", parent.Access)
		form.Set("subject_token_type", typeAccess)
		form.Set("delegation", hop)
		return nil
	})
	return Handover{hop, n.Server, t}, err
}

// hop signs the statement of a child hop.
func (m *Mission) hop(to Offer, n Narrow, parent Token) (string, error) {
	_, body, ok := strings.Cut(m.statement, ".")
	if !ok {
		return "", errors.New("the mission's statement is not a compact JWS")
	}
	body, _, _ = strings.Cut(body, ".")
	var above struct {
		Depth  int   `json:"depth"`
		Expiry int64 `json:"exp"`
	}
	if err := decodePart(body, &above); err != nil {
		return "", err
	}
	now, exp := time.Now(), above.Expiry
	if n.For > 0 {
		exp = now.Add(n.For).Unix() // longer than the parent's is the server's to refuse
	}
	claims := map[string]any{"iss": m.agent.ID, "sub": to.ID, "aud": m.agent.Issuer, "jti": newUID("hop"),
		"iat": now.Unix(), "exp": exp, "mission": parent.Mission, "blueprint": n.Blueprint, "authority": n.Authority,
		"depth": above.Depth + 1, "cnf": map[string]string{"jkt": to.JKT}, "nonce": random(16),
		"parent": commitment(m.statement)}
	if n.Limits != nil {
		claims["limits"] = n.Limits
	}
	return m.agent.Key.Sign("ambit-hop+jwt", claims)
}

// HTTPClient returns a client for the gateway in front of a server. Every request
// carries a live token and a fresh proof; whatever speaks HTTP works with it.
func (m *Mission) HTTPClient(server string) *http.Client {
	base := m.agent.http()
	c := *base
	c.Transport = &transport{m: m, server: server, base: base.Transport}
	return &c
}

// transport authorizes each request and answers one demand for a nonce.
type transport struct {
	m      *Mission
	server string
	base   http.RoundTripper

	mu    sync.Mutex
	nonce string
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	token, err := t.m.Token(req.Context(), t.server)
	if err != nil {
		return nil, err
	}
	body, err := replayable(req)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		r := withBody(req, body)
		t.mu.Lock()
		nonce := t.nonce
		t.mu.Unlock()
		if err := authorize(r, token, t.m.agent.Key, nonce); err != nil {
			return nil, err
		}
		res, err := base.RoundTrip(r)
		if err != nil || res.StatusCode != http.StatusUnauthorized || try > 0 || res.Header.Get("DPoP-Nonce") == "" {
			return res, err
		}
		res.Body.Close()
		t.mu.Lock()
		t.nonce = res.Header.Get("DPoP-Nonce")
		t.mu.Unlock()
	}
}
