package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/route"
	"github.com/ambit-iam/ambit/proof"
)

// The bounds of an apply: its document may hold many policies, and every new
// server is started once to see its tools.
const (
	maxDocument = 8 << 20
	applyTime   = 3 * time.Minute
)

// A Writer changes things. *enforce.Spine is one.
type Writer interface {
	Change(ctx context.Context, p enforce.Presented, m enforce.Mutation) (enforce.Changed, error)
	Unprobed(ctx context.Context, p enforce.Presented, doc organisation.Document) ([]mapping.Server, error)
	Probe(ctx context.Context, p enforce.Presented, server mapping.Server, up enforce.Upstreams) ([]json.RawMessage, error)
}

// A Reader answers questions. *enforce.Spine is one.
type Reader interface {
	Whoami(ctx context.Context, p enforce.Presented) (enforce.Self, error)
	Names(ctx context.Context, p enforce.Presented, ids []principal.UID, handles []string) (enforce.Names, error)
	Can(ctx context.Context, p enforce.Presented, q enforce.Question) (enforce.Decision, error)
	Draft(ctx context.Context, p enforce.Presented, q enforce.MissionRequest) (proof.Statement, error)
	Show(ctx context.Context, p enforce.Presented, mission principal.UID) (enforce.MissionView, error)
	Story(ctx context.Context, p enforce.Presented, mission principal.UID) (history.Tree, error)
	Export(ctx context.Context, p enforce.Presented, mission principal.UID) (proof.Bundle, error)
}

// A Face serves the management API. Its fields are set once; it is safe for
// concurrent use.
type Face struct {
	Writes    Writer
	Reads     Reader
	Upstreams enforce.Upstreams
	Mux       *route.Mux
	Version   string // of the product, for the description
}

// Mount hangs the operations and their description on the face's mux. It fails
// when the description does not encode.
func (f *Face) Mount() error {
	api := huma.NewAPI(f.config(), adapter{f.Mux})
	f.organisation(api)
	f.missions(api)
	f.questions(api)
	describe(api.OpenAPI().Components.Schemas.Map())
	description, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the description of the API does not encode")
	}
	f.Mux.Mount(route.Route{Pattern: "GET /openapi.json", Action: "discovery.read"}, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(description) // a client that went away is not an error of ours
		return nil
	})
	return nil
}

func (f *Face) config() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Ambit", Version: f.Version,
				Description: "Who is acting, on whose behalf, within what mandate; may they do this, now; and can we prove it afterwards."},
			Servers: []*huma.Server{{URL: f.Mux.Issuer()}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"dpop":   {Type: "http", Scheme: "dpop", Description: "An access token for {issuer}/api, bound to a key (RFC 9449)."},
					"bearer": {Type: "http", Scheme: "bearer", Description: "An access token for {issuer}/api that is not bound to a key."},
				},
			},
			Security: []map[string][]string{{"dpop": {}}, {"bearer": {}}},
		},
		// The second is huma's name for every +json; requests are held to the first.
		Formats:                      map[string]huma.Format{"application/json": strictJSON, "json": strictJSON},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{caught},
	}
}

// changed is the answer of every write.
type changed struct{ Body enforce.Changed }

// An operation is one route in the words of this face.
type operation struct {
	method, path, id, action, summary string
	media                             string        // of the answer; "" means JSON
	bound                             int64         // of the body in bytes; 0 means route.DefaultBody
	time                              time.Duration // 0 means route.DefaultTime
}

// add registers one operation: what it presents goes to the spine with what it
// asks, and a fault goes to the mux, which renders all of them alike.
func add[I, O any](f *Face, api huma.API, o operation, call func(context.Context, enforce.Presented, *I) (*O, error)) {
	if o.bound == 0 {
		o.bound = route.DefaultBody
	}
	huma.Register(api, huma.Operation{Method: o.method, Path: "/api/v1" + o.path, OperationID: o.id, Summary: o.summary,
		Description: "Action: " + o.action + ".", DefaultStatus: http.StatusOK, MaxBodyBytes: o.bound,
		// The body is read and bounded before, with the mux's own deadline.
		BodyReadTimeout: -1, Metadata: map[string]any{"operation": o}, Responses: responses(o.media),
	}, func(ctx context.Context, in *I) (*O, error) {
		x, err := exchangeOf(ctx)
		if err != nil {
			return nil, err
		}
		p, err := f.Mux.Present(x.request)
		if err != nil {
			return nil, x.fail(err)
		}
		out, err := call(ctx, enforce.Presented(p), in)
		if err != nil {
			return nil, x.fail(err)
		}
		return out, nil
	})
}
