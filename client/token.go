package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds an answer, in bytes. The largest are evidence bundles, which
// have this bound of their own.
const maxAnswer = 256 << 20

// A Token is an access token and what it is good for.
type Token struct {
	Access  string          `json:"access"`
	Type    string          `json:"type"` // DPoP or Bearer
	Expiry  time.Time       `json:"expiry"`
	Mission string          `json:"mission,omitempty"`
	Hop     string          `json:"hop,omitempty"`
	Details json.RawMessage `json:"details,omitempty"` // authorization_details
}

// An Error is what the server answered in place of what was asked: an OAuth
// error or a problem (RFC 9457). Message and Hint are for people.
type Error struct {
	Status   int
	Code     string // "invalid_grant", "denied"
	Message  string
	Hint     string
	Decision json.RawMessage // of a denial, when the server gave it
}

// Error renders the code, the message and the next step.
func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = http.StatusText(e.Status)
	}
	if e.Hint != "" {
		s += "\nnext  " + e.Hint
	}
	return s
}

// random returns n bytes of entropy as text.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b64(b)
}

// assertion signs a statement of id about itself, good for a minute and once.
func assertion(k *Key, typ, id, issuer string, open bool) (string, error) {
	now := time.Now().Unix()
	claims := map[string]any{"iss": id, "sub": id, "aud": issuer, "jti": random(16), "iat": now, "exp": now + 60}
	if open {
		return k.signOpen(typ, claims)
	}
	return k.Sign(typ, claims)
}

// proof makes a DPoP proof (RFC 9449) for one request.
func proof(k *Key, method, target, token, nonce string) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", err
	}
	u.RawQuery, u.Fragment = "", ""
	claims := map[string]any{"htm": method, "htu": u.String(), "jti": random(16), "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = b64(sum[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return k.signOpen("dpop+jwt", claims)
}

// exchange asks the token endpoint, with a DPoP proof by k when k is not nil. A
// server that has just started may ask for a proof with its nonce; that is
// answered once. fresh makes the form anew for each try, since assertions are
// good for one.
func exchange(ctx context.Context, h *http.Client, issuer string, k *Key, fresh func() (url.Values, error)) (Token, error) {
	nonce := ""
	for try := 0; ; try++ {
		form, err := fresh()
		if err != nil {
			return Token{}, err
		}
		target := issuer + "/oauth/token"
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
		if err != nil {
			return Token{}, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if k != nil {
			p, err := proof(k, http.MethodPost, target, "", nonce)
			if err != nil {
				return Token{}, err
			}
			req.Header.Set("DPoP", p)
		}
		t, next, err := tokenAnswer(h, req)
		if next == "" || try > 0 {
			return t, err
		}
		nonce = next
	}
}

// tokenAnswer reads a token response; nonce is set when the server asks for a
// proof with it.
func tokenAnswer(h *http.Client, req *http.Request) (t Token, nonce string, err error) {
	res, err := h.Do(req)
	if err != nil {
		return t, "", err
	}
	defer res.Body.Close()
	b, err := readAnswer(res.Body)
	if err != nil {
		return t, "", err
	}
	var a struct {
		Access      string          `json:"access_token"`
		Type        string          `json:"token_type"`
		Expires     int             `json:"expires_in"`
		Details     json.RawMessage `json:"authorization_details"`
		Mission     string          `json:"mission"`
		Hop         string          `json:"hop"`
		Code        string          `json:"error"`
		Description string          `json:"error_description"`
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return t, "", fmt.Errorf("the token endpoint answered %s with what is not JSON", res.Status)
	}
	if res.StatusCode != http.StatusOK {
		if a.Code == "use_dpop_nonce" {
			nonce = res.Header.Get("DPoP-Nonce")
		}
		return t, nonce, &Error{Status: res.StatusCode, Code: a.Code, Message: a.Description}
	}
	return Token{a.Access, a.Type, time.Now().Add(time.Duration(a.Expires) * time.Second), a.Mission, a.Hop, a.Details}, "", nil
}

// readAnswer reads an answer whole, or fails.
func readAnswer(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d MB", maxAnswer>>20)
	}
	return b, err
}

// authorize puts a token, and its proof when it is bound, on a request.
func authorize(req *http.Request, t Token, k *Key, nonce string) error {
	req.Header.Set("Authorization", t.Type+" "+t.Access)
	req.Header.Del("DPoP")
	if t.Type != "DPoP" {
		return nil
	}
	p, err := proof(k, req.Method, req.URL.String(), t.Access, nonce)
	if err != nil {
		return err
	}
	req.Header.Set("DPoP", p)
	return nil
}

// replayable buffers a request's body, so that the request can be sent again.
func replayable(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(req.Body)
	return b, errors.Join(err, req.Body.Close())
}

func withBody(req *http.Request, body []byte) *http.Request {
	r := req.Clone(req.Context())
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return r
}
