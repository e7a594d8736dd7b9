package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/route"
)

// An adapter mounts huma's operations on the mux, each under the action that it
// names, and holds an answer back until it is whole: whatever goes wrong, in the
// spine or in huma, is then one fault for the mux to log and render.
type adapter struct{ mux *route.Mux }

// Handle implements huma.Adapter. An operation without an action does not mount.
func (a adapter) Handle(op *huma.Operation, handle func(huma.Context)) {
	o, _ := op.Metadata["operation"].(operation)
	at := route.Route{Pattern: op.Method + " " + op.Path, Action: o.action, MaxBody: o.bound, Time: o.time}
	a.mux.Mount(at, func(w http.ResponseWriter, r *http.Request) error {
		if op.RequestBody != nil {
			body, err := route.Body(r, "application/json")
			if err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		x := &exchange{request: r}
		held := &held{header: w.Header(), status: http.StatusOK}
		handle(humago.NewContext(op, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)), held))
		if denied, ok := errors.AsType[*enforce.Denied](x.failed); ok {
			return refuse(w, r, x.failed, denied)
		}
		if x.failed != nil {
			held.header.Del("Content-Type")
			return x.failed
		}
		held.header.Set("Content-Length", strconv.Itoa(held.body.Len()))
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // a client that went away is not an error of ours
		return nil
	})
}

// ServeHTTP implements huma.Adapter.
func (a adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// refuse renders a denial: a problem with the decision in it.
func refuse(w http.ResponseWriter, r *http.Request, err error, denied *enforce.Denied) error {
	b, merr := json.Marshal(struct {
		route.Problem
		Decision enforce.Decision `json:"decision"`
	}{route.ProblemOf(r, err), denied.Decision})
	if merr != nil {
		return fault.Wrap(fault.Internal, merr, "a denial does not encode")
	}
	w.Header().Set("Content-Type", route.ProblemType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(route.Status(fault.KindOf(err)))
	_, _ = w.Write(b)
	return nil
}

// An exchange is one request on its way through huma, and what went wrong.
type exchange struct {
	request *http.Request
	failed  error
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) (*exchange, error) {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, fault.New(fault.Internal, "an operation ran outside its adapter")
	}
	return x, nil
}

// fail keeps err for the mux; huma gets it too, to stop.
func (x *exchange) fail(err error) error {
	x.failed = err
	return err
}

// caught turns huma's own refusals, of a body that does not fit its schema, into
// faults. It sees every answer before it is written.
func caught(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	x, err := exchangeOf(ctx.Context())
	if err != nil || x.failed != nil {
		return v, err
	}
	var where []string
	for _, d := range model.Errors {
		if d == nil {
			continue
		}
		place := strings.TrimPrefix(strings.TrimPrefix(d.Location, "body"), ".")
		if place == "" {
			place = "body"
		}
		where = append(where, place+": "+d.Message) // never d.Value: it is the caller's, and may be a secret
	}
	kind := fault.Malformed
	switch {
	case model.Status == http.StatusRequestEntityTooLarge:
		kind = fault.TooLarge
	case model.Status >= 500:
		kind = fault.Internal
	}
	detail := model.Detail
	if len(where) > 0 {
		detail = strings.Join(where, "; ")
	}
	x.failed = fault.New(kind, "%s", detail).WithHint("/openapi.json describes what is accepted")
	return v, nil
}

// held is an answer that has not been given.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// schemaName names a schema after its package and type, since rooms use the same
// words for different things.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" || t.PkgPath() == "" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	pkg := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
	return strings.ToUpper(pkg[:1]) + pkg[1:] + strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
}

// problemName is the schema of every refusal.
const problemName = "Problem"

// responses describes what an operation answers: media on success when that is
// not JSON, and the one shape of every refusal.
func responses(media string) map[string]*huma.Response {
	r := map[string]*huma.Response{"default": {Description: "Refused",
		Content: map[string]*huma.MediaType{route.ProblemType: {Schema: &huma.Schema{Ref: "#/components/schemas/" + problemName}}}}}
	if media != "" {
		r["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
	}
	return r
}

// describe puts the schema of a refusal in the place of huma's own, which no
// operation answers with.
func describe(schemas map[string]*huma.Schema) {
	text := &huma.Schema{Type: "string"}
	maps.DeleteFunc(schemas, func(name string, _ *huma.Schema) bool { return strings.HasPrefix(name, "V2Error") })
	schemas[problemName] = &huma.Schema{Type: "object", Description: "RFC 9457 problem",
		Required: []string{"type", "title", "status", "detail", "code"},
		Properties: map[string]*huma.Schema{"type": text, "title": text, "status": {Type: "integer"}, "detail": text,
			"code":       {Type: "string", Description: "the class of the fault, stable"},
			"request_id": text,
			"hint":       {Type: "string", Description: "the next step"},
			"decision":   {Type: "object", AdditionalProperties: true, Description: "what was decided, for a denial"}}}
}
