package enforce

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// maxNames bounds one look-up.
const maxNames = 1000

// Names is a look-up between uids and what people call them, in either direction.
// A handle is typed: "agent:assistant", "server:records", "context:encounter/E1".
type Names struct {
	IDs     map[principal.UID]string `json:"ids"`     // uid → handle; absent where there is none
	Handles map[string]principal.UID `json:"handles"` // typed handle → uid; absent where there is none
}

// Names answers a look-up. Handles are labels and uids cannot be guessed, so
// whoever stands in the directory may ask.
func (s *Spine) Names(ctx context.Context, p Presented, ids []principal.UID, handles []string) (Names, error) {
	d, err := s.direct(ctx, p)
	if err != nil {
		return Names{}, err
	}
	if len(ids)+len(handles) > maxNames {
		return Names{}, fault.New(fault.TooLarge, "at most %d names at once", maxNames)
	}
	if err := s.may(ctx, d, organisationTarget("names.read", d.snap)); err != nil {
		return Names{}, err
	}
	n := Names{IDs: map[principal.UID]string{}, Handles: map[string]principal.UID{}}
	for _, id := range ids {
		if h := handleOf(d.snap, id); h != "" {
			n.IDs[id] = h
		}
	}
	for _, h := range handles {
		if id, ok := idOf(d.snap, h); ok {
			n.Handles[h] = id
		}
	}
	return n, nil
}

// handleOf names a uid, "" when it has no name.
func handleOf(snap *decision.Snapshot, id principal.UID) string {
	switch id.Prefix() {
	case principal.Server:
		srv, _ := snap.Catalogue.Server(id)
		return srv.Handle
	case principal.Tool:
		t, _ := snap.Catalogue.Tool(id)
		return t.Name
	}
	if h := snap.Directory.Label(id); h != string(id) {
		return h
	}
	return ""
}

var uids = regexp.MustCompile(`\b[a-z]{3}_[0-9a-z]{26}\b`)

// plainly returns a room's refusal with handles in place of uids: rooms know
// uids, and what refuses is read by people.
func plainly(snap *decision.Snapshot, err error) error {
	e, ok := err.(*fault.Error) // not one deep inside: what wraps it says more
	if !ok {
		return err
	}
	c := *e
	c.Message = uids.ReplaceAllStringFunc(e.Message, func(id string) string { return cmp.Or(handleOf(snap, principal.UID(id)), id) })
	return &c
}

func idOf(snap *decision.Snapshot, typed string) (principal.UID, bool) {
	kind, handle, _ := strings.Cut(typed, ":")
	if kind == "server" {
		srv, ok := snap.Catalogue.ServerByHandle(handle)
		return srv.ID, ok
	}
	return snap.Directory.Resolve(kind, handle)
}
