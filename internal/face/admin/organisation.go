package admin

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/schema"
)

type applyInput struct {
	Body struct {
		Document json.RawMessage `json:"document" doc:"The organisation as one document, principals and servers by handle. Its model may be given as source (OpenFGA DSL), which then decides."`
	}
}

type relationsInput struct {
	Body struct {
		Write  []relation.Tuple `json:"write,omitempty" maxItems:"1000" doc:"Tuples to write; one that is there already changes nothing."`
		Delete []relation.Tuple `json:"delete,omitempty" maxItems:"1000" doc:"Tuples to delete; one that is not there changes nothing."`
	}
}

type contextInput struct {
	Body struct {
		Type       string            `json:"type" minLength:"1" maxLength:"64" doc:"encounter, ticket …"`
		Handle     string            `json:"handle" minLength:"1" maxLength:"256" doc:"E1"`
		Attributes map[string]string `json:"attributes,omitempty" doc:"What the frame of a server's mapping may name: patient …"`
	}
}

type closeInput struct {
	Body struct {
		Type   string `json:"type" minLength:"1" maxLength:"64"`
		Handle string `json:"handle" minLength:"1" maxLength:"256"`
	}
}

type revokeInput struct {
	Body struct {
		Node principal.UID `json:"node" minLength:"1" maxLength:"64" doc:"uid of what ends, with everything below it"`
	}
}

// organisation mounts what administers: the document, relations, contexts, and
// ending.
func (f *Face) organisation(api huma.API) {
	add(f, api, operation{method: "POST", path: "/apply", id: "apply", action: "organisation.apply", bound: maxDocument, time: applyTime,
		summary: "Make the organisation what a document says, in one revision"}, f.apply)
	add(f, api, operation{method: "POST", path: "/relations:write", id: "write-relations", action: "relation.write",
		summary: "Write and delete relationship tuples"},
		func(ctx context.Context, p enforce.Presented, in *relationsInput) (*changed, error) {
			return f.change(ctx, p, enforce.WriteRelations{Write: in.Body.Write, Delete: in.Body.Delete})
		})
	add(f, api, operation{method: "POST", path: "/contexts:open", id: "open-context", action: "context.open",
		summary: "Open a context, such as an encounter or a ticket"},
		func(ctx context.Context, p enforce.Presented, in *contextInput) (*changed, error) {
			return f.change(ctx, p, enforce.OpenContext{Type: in.Body.Type, Handle: in.Body.Handle, Attributes: in.Body.Attributes})
		})
	add(f, api, operation{method: "POST", path: "/contexts:close", id: "close-context", action: "context.close",
		summary: "Close a context; nothing more is done in it"},
		func(ctx context.Context, p enforce.Presented, in *closeInput) (*changed, error) {
			return f.change(ctx, p, enforce.CloseContext{Type: in.Body.Type, Handle: in.Body.Handle})
		})
	add(f, api, operation{method: "POST", path: "/revoke", id: "revoke", action: "node.revoke",
		summary: "Revoke a node and everything below it"},
		func(ctx context.Context, p enforce.Presented, in *revokeInput) (*changed, error) {
			return f.change(ctx, p, enforce.Revoke{Node: in.Body.Node})
		})
}

func (f *Face) change(ctx context.Context, p enforce.Presented, m enforce.Mutation) (*changed, error) {
	c, err := f.Writes.Change(ctx, p, m)
	if err != nil {
		return nil, err
	}
	return &changed{c}, nil
}

// apply validates the document, has the spine look at what each new or changed
// server shows, and applies what both come to.
func (f *Face) apply(ctx context.Context, p enforce.Presented, in *applyInput) (*changed, error) {
	// Asked about an empty document first: nothing is parsed for whoever may not
	// apply, and a model's text is dear to parse.
	if _, err := f.Writes.Unprobed(ctx, p, organisation.Document{}); err != nil {
		return nil, err
	}
	doc, err := organisation.Parse(in.Body.Document)
	if err != nil {
		return nil, err
	}
	if doc.Model != nil && doc.Model.Source != "" {
		// What people read is what is enforced: types that were sent beside the
		// source are not asked.
		m, err := schema.ParseOpenFGA(doc.Model.Source)
		if err != nil {
			return nil, err
		}
		doc.Model = &m
	}
	if err := doc.Validate(); err != nil {
		return nil, err
	}
	servers, err := f.Writes.Unprobed(ctx, p, doc)
	if err != nil {
		return nil, err
	}
	shown := make(map[string][]json.RawMessage, len(servers))
	for _, s := range servers {
		if shown[s.Handle], err = f.Writes.Probe(ctx, p, s, f.Upstreams); err != nil {
			return nil, err
		}
	}
	return f.change(ctx, p, enforce.Apply{Document: doc, Shown: shown})
}
