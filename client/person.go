package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A Person is a user or a workload, and the key that proves it: who administers,
// signs missions, opens contexts. An agent is never one.
type Person struct {
	Issuer string
	ID     string // uid or handle
	Key    *Key
	// Access, when set, is a ready API token and Key is not used: the one that
	// ambit dev writes into its ready file.
	Access string
	HTTP   *http.Client

	mu    sync.Mutex // protects token and nonce
	token Token
	nonce string
}

func (p *Person) http() *http.Client {
	if p.HTTP != nil {
		return p.HTTP
	}
	return http.DefaultClient
}

// Token returns a live API token, signing in when there is none.
func (p *Person) Token(ctx context.Context) (Token, error) {
	if p.Access != "" {
		return Token{Access: p.Access, Type: "Bearer"}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Until(p.token.Expiry) > renewBefore {
		return p.token, nil
	}
	t, err := exchange(ctx, p.http(), p.Issuer, p.Key, func() (url.Values, error) {
		a, err := assertion(p.Key, "ambit-login+jwt", p.ID, p.Issuer, false)
		return url.Values{"grant_type": {grantBearer}, "assertion": {a}, "resource": {p.Issuer + "/api"}}, err
	})
	if err != nil {
		return Token{}, err
	}
	p.token = t
	return t, nil
}

// Do calls the management API: in is sent as JSON unless nil, the answer is read
// into out unless nil. path begins with "/api/v1/". A refusal is an *Error.
func (p *Person) Do(ctx context.Context, method, path string, in, out any) error {
	b, err := p.Raw(ctx, method, path, in)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// Raw is Do with the answer's bytes.
func (p *Person) Raw(ctx context.Context, method, path string, in any) ([]byte, error) {
	t, err := p.Token(ctx)
	if err != nil {
		return nil, err
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	nonce := p.nonce
	p.mu.Unlock()
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, p.Issuer+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if in != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		if err := authorize(req, t, p.Key, nonce); err != nil {
			return nil, err
		}
		res, err := p.http().Do(req)
		if err != nil {
			return nil, err
		}
		b, err := readAnswer(res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if n := res.Header.Get("DPoP-Nonce"); res.StatusCode == http.StatusUnauthorized && n != "" && try == 0 {
			p.mu.Lock()
			p.nonce, nonce = n, n
			p.mu.Unlock()
			continue
		}
		if res.StatusCode >= 300 {
			return nil, problem(res.StatusCode, b)
		}
		return b, nil
	}
}

// problem reads an RFC 9457 problem.
func problem(status int, b []byte) *Error {
	var q struct {
		Title    string          `json:"title"`
		Detail   string          `json:"detail"`
		Code     string          `json:"code"`
		Hint     string          `json:"hint"`
		Decision json.RawMessage `json:"decision"`
	}
	e := &Error{Status: status}
	if json.Unmarshal(b, &q) == nil {
		e.Code, e.Message, e.Hint, e.Decision = q.Code, q.Detail, q.Hint, q.Decision
		if e.Message == "" {
			e.Message = q.Title
		}
	}
	return e
}

// SignMission signs a drafted root statement: the claims as the server's
// missions:draft answered them, read by the person first.
func (p *Person) SignMission(draft json.RawMessage) (string, error) {
	return p.Key.Sign("ambit-hop+jwt", draft)
}
