package admin

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

type missionInput struct {
	ID principal.UID `path:"id" doc:"uid of a mission" maxLength:"64"`
}

type draftInput struct{ Body json.RawMessage }

// A statement goes out as it will be signed. Its authority is the lattice's own
// JSON, which no schema derived from Go types describes.
type draftOutput struct{ Body json.RawMessage }

type startInput struct {
	Body struct {
		Statement string `json:"statement" minLength:"1" maxLength:"65536" doc:"The root hop, signed by the person: a compact JWS of typ ambit-hop+jwt."`
	}
}

type viewOutput struct{ Body json.RawMessage }

type storyOutput struct{ Body history.Tree }

type bundleOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// missions mounts a mission's life: drafted, signed, started, watched, ended,
// told and proven.
func (f *Face) missions(api huma.API) {
	add(f, api, operation{method: "POST", path: "/missions:draft", id: "draft-mission", action: "mission.draft",
		summary: "Resolve a mission's handles into the statement that a person signs"}, f.draft)
	add(f, api, operation{method: "POST", path: "/missions", id: "start-mission", action: "mission.create",
		summary: "Start a mission with its signed statement"},
		func(ctx context.Context, p enforce.Presented, in *startInput) (*changed, error) {
			return f.change(ctx, p, enforce.StartMission{Statement: in.Body.Statement})
		})
	add(f, api, operation{method: "GET", path: "/missions/{id}", id: "show-mission", action: "mission.show",
		summary: "A mission, its hops, and what is used of its limits"}, f.show)
	add(f, api, operation{method: "POST", path: "/missions/{id}/end", id: "end-mission", action: "mission.end",
		summary: "End a mission as done"},
		func(ctx context.Context, p enforce.Presented, in *missionInput) (*changed, error) {
			return f.change(ctx, p, enforce.EndMission{ID: in.ID})
		})
	add(f, api, operation{method: "GET", path: "/missions/{id}/story", id: "tell-mission", action: "mission.story",
		summary: "What happened and why, in sentences, as a causal tree"},
		func(ctx context.Context, p enforce.Presented, in *missionInput) (*storyOutput, error) {
			t, err := f.Reads.Story(ctx, p, in.ID)
			return &storyOutput{t}, err
		})
	add(f, api, operation{method: "GET", path: "/missions/{id}/bundle", id: "export-mission", action: "mission.export", media: "application/zip",
		summary: "The evidence of a mission, for a stranger to verify offline (zip)"}, f.export)
}

func (f *Face) draft(ctx context.Context, p enforce.Presented, in *draftInput) (*draftOutput, error) {
	var q enforce.MissionRequest
	if err := decode("mission", in.Body, &q); err != nil {
		return nil, err
	}
	s, err := f.Reads.Draft(ctx, p, q)
	if err != nil {
		return nil, err
	}
	b, err := encode(s)
	return &draftOutput{b}, err
}

func (f *Face) show(ctx context.Context, p enforce.Presented, in *missionInput) (*viewOutput, error) {
	v, err := f.Reads.Show(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	b, err := encode(v)
	return &viewOutput{b}, err
}

func (f *Face) export(ctx context.Context, p enforce.Presented, in *missionInput) (*bundleOutput, error) {
	b, err := f.Reads.Export(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	var zip bytes.Buffer
	if err := proof.WriteBundle(&zip, b); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the bundle does not encode")
	}
	return &bundleOutput{"application/zip", `attachment; filename="` + string(in.ID) + `.zip"`, zip.Bytes()}, nil
}

func encode(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the answer does not encode")
	}
	return b, nil
}
