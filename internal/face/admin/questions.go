package admin

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/principal"
)

type canInput struct{ Body json.RawMessage }

type decisionOutput struct{ Body enforce.Decision }

type selfOutput struct{ Body enforce.Self }

type namesInput struct {
	Body struct {
		IDs     []principal.UID `json:"ids,omitempty" maxItems:"1000" doc:"uids to name"`
		Handles []string        `json:"handles,omitempty" maxItems:"1000" doc:"Typed handles to find: agent:assistant, server:records, context:encounter/E1"`
	}
}

type namesOutput struct{ Body enforce.Names }

// questions mounts what changes nothing.
func (f *Face) questions(api huma.API) {
	add(f, api, operation{method: "POST", path: "/can", id: "can", action: "decision.ask",
		summary: "What would be decided, with every stage of every link"},
		func(ctx context.Context, p enforce.Presented, in *canInput) (*decisionOutput, error) {
			var q enforce.Question
			if err := decode("question", in.Body, &q); err != nil {
				return nil, err
			}
			d, err := f.Reads.Can(ctx, p, q)
			return &decisionOutput{d}, err
		})
	add(f, api, operation{method: "POST", path: "/names", id: "names", action: "names.read",
		summary: "What uids are called, and which uids handles stand for"},
		func(ctx context.Context, p enforce.Presented, in *namesInput) (*namesOutput, error) {
			n, err := f.Reads.Names(ctx, p, in.Body.IDs, in.Body.Handles)
			return &namesOutput{n}, err
		})
	add(f, api, operation{method: "GET", path: "/whoami", id: "whoami", action: "whoami",
		summary: "Who presents this token"},
		func(ctx context.Context, p enforce.Presented, _ *struct{}) (*selfOutput, error) {
			s, err := f.Reads.Whoami(ctx, p)
			return &selfOutput{s}, err
		})
}
