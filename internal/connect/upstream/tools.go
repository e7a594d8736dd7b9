package upstream

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/jsonrpc"
)

// The bounds of what one server may show.
const (
	maxPages = 64
	maxTools = 4096
)

// Tools implements broker.Upstreams: every page of tools/list, each tool byte for
// byte, in the server's order.
func (u *Upstreams) Tools(ctx context.Context, o broker.Opened) ([]json.RawMessage, error) {
	var tools []json.RawMessage
	params := json.RawMessage(`{}`)
	for range maxPages {
		r, err := u.Call(ctx, o, "tools/list", params, nil)
		if err != nil {
			return nil, err
		}
		list := jsonrpc.Member(r.Result, "tools")
		if len(list) == 0 || list[0] != '[' {
			return nil, failed(o.Server(), true, errors.New("tools/list: no tools member"), "tools/list was not answered with tools")
		}
		for t := range jsonrpc.Elements(list) {
			tools = append(tools, t)
		}
		if len(tools) > maxTools {
			break
		}
		cursor := jsonrpc.Member(r.Result, "nextCursor")
		if text, ok := jsonrpc.Text(cursor); !ok || text == "" {
			return tools, nil
		}
		params = append(append([]byte(`{"cursor":`), cursor...), '}')
	}
	return nil, failed(o.Server(), true, errors.New("tools/list does not end"), "it shows more than %d tools or %d pages of them", maxTools, maxPages)
}
