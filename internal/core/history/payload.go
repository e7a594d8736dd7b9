package history

import (
	"encoding/json"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A payload is what the spine writes beside a leaf; each kind of entry uses some
// of it. The zero payload is that of an entry whose payload was erased.
type payload struct {
	// Of a decision, check or list.
	ServerName string                     `json:"serverName"`
	Resource   string                     `json:"resource"`
	Arguments  map[string]json.RawMessage `json:"arguments"`
	Effect     mapping.Effect             `json:"effect"`
	Binding    *finding                   `json:"binding"`
	Reasons    []finding                  `json:"reasons"`
	Listed     []string                   `json:"listed"`
	// Of an outcome.
	Status string `json:"status"`
	Bytes  int64  `json:"bytes"`
	// Of an issue.
	Kind   string          `json:"kind"`
	Hop    *delegation.Hop `json:"hop"`
	Reason string          `json:"reason"`
	Token  struct {
		Audience string `json:"aud"`
	} `json:"token"`
	// Of a change, and of an issue that made something.
	Mutation string       `json:"mutation"`
	Summary  []string     `json:"summary"`
	Rows     []ledger.Row `json:"rows"`
	// Key is the public key that the hop made confirms.
	Key json.RawMessage `json:"key"`

	Names map[principal.UID]string `json:"names"`
}

// A finding is what one stage said of one link.
type finding struct {
	Link      int           `json:"link"`
	Principal principal.UID `json:"principal"`
	Stage     string        `json:"stage"`
	Passed    bool          `json:"passed"`
	Reason    string        `json:"reason"`
}

// read returns the payload of s. Rows that the leaf does not commit to were
// proposed and not written: they are left out.
func read(s ledger.Stored) (payload, error) {
	var p payload
	if len(s.Payload) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(s.Payload, &p); err != nil {
		return p, fault.Wrap(fault.Internal, err, "payload of entry %s, index %d, is not one that Ambit wrote", s.Leaf.ID, s.Leaf.Index)
	}
	if s.Leaf.Rows == "" {
		p.Rows = nil
	}
	return p, nil
}

// body decodes the object of a row; a row that deletes, or does not fit, yields
// the zero value, which is no live object of any kind.
func body[T any](r ledger.Row) T {
	var v T
	if err := json.Unmarshal(r.Body, &v); err != nil {
		var zero T
		return zero
	}
	return v
}

// made returns the hops of mission that s brought into the ledger, signed.
func (p payload) made(s ledger.Stored, mission principal.UID) []delegation.Hop {
	var hops []delegation.Hop
	for _, r := range p.Rows {
		if h := body[delegation.Hop](r); r.Kind == "hop" && h.Mission == mission {
			hops = append(hops, h)
		}
	}
	if p.Hop != nil && p.Hop.Mission == mission && s.Leaf.Decision == "allow" {
		hops = append(hops, *p.Hop)
	}
	return hops
}

// keys returns the enrolled keys that p's rows give the principal uid, or the one
// that a hop to it confirms, and whether any row is about it.
func (p payload) keys(uid principal.UID) ([]directory.Key, bool) {
	for _, r := range p.Rows {
		if principal.UID(r.Key) == uid && (r.Kind == "user" || r.Kind == "agent") {
			return body[struct {
				Keys []directory.Key `json:"keys"`
			}](r).Keys, true
		}
	}
	// An agent that another mission made has its rows in that one's entries.
	var hops []delegation.Hop
	if p.Hop != nil {
		hops = append(hops, *p.Hop)
	}
	for _, r := range p.Rows {
		if r.Kind == "hop" {
			hops = append(hops, body[delegation.Hop](r))
		}
	}
	for _, h := range hops {
		if h.Delegate == uid && len(p.Key) > 0 {
			return []directory.Key{{JKT: h.JKT, JWK: p.Key}}, true
		}
	}
	return nil, false
}

// server returns the label that the server of a call had.
func (p payload) server(s ledger.Stored) string {
	if p.ServerName != "" {
		return p.ServerName
	}
	if i := strings.LastIndex(p.Token.Audience, "/mcp/"); i >= 0 {
		return p.Token.Audience[i+len("/mcp/"):]
	}
	return p.Names[principal.UID(s.Leaf.Server)]
}
