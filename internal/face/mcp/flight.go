package mcp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/ambit-iam/ambit/internal/jsonrpc"
)

var (
	errLeft      = errors.New("the client left")
	errCancelled = errors.New("the client cancelled the request")
)

// flights are the calls that an effect runs for, so that a cancellation finds
// its own. The zero value is ready; safe for concurrent use.
type flights struct {
	mu   sync.Mutex
	open map[flight][]*context.CancelCauseFunc
}

// A flight names a call in flight. Without sessions two connections of one agent
// may use an id at once.
type flight struct{ caller, server, id string }

// flight names the call of this exchange's caller that has the given id.
func (x *exchange) flight(id json.RawMessage) flight {
	key := string(id)
	if text, ok := jsonrpc.Text(id); ok {
		key = `"` + text // however it was escaped
	}
	return flight{caller(x.who.Token), x.server, key}
}

// caller names the acting principal and the hop of an access token that the
// spine has verified for this very exchange. A renewed token names the same.
func caller(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	client, hop := jsonrpc.Member(claims, "client_id"), jsonrpc.Member(jsonrpc.Member(claims, "dlg"), "id")
	if err != nil || client == nil || hop == nil {
		return token
	}
	return string(client) + string(hop)
}

// enter adds a call; the caller runs leave when it is over.
func (f *flights) enter(k flight, cancel context.CancelCauseFunc) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[flight][]*context.CancelCauseFunc{}
	}
	own := &cancel
	f.open[k] = append(f.open[k], own)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		all := f.open[k]
		for i, c := range all {
			if c == own {
				all = append(all[:i:i], all[i+1:]...)
				break
			}
		}
		if f.open[k] = all; len(all) == 0 {
			delete(f.open, k)
		}
	}
}

// cancel ends the call k. Where two calls have that name there is no telling
// which is meant, and neither ends: a receiver may ignore a cancellation, but
// must not lose an answer that somebody waits for.
func (f *flights) cancel(k flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if all := f.open[k]; len(all) == 1 {
		(*all[0])(errCancelled)
	}
}
