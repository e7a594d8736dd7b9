package mcp

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/jsonrpc"
)

// revisions are the revisions of MCP that this face speaks, newest first. Of
// 2025-03-26 it leaves out batches, which no client is known to send and which
// the next revision took back.
var revisions = []string{"2025-11-25", "2025-06-18", "2025-03-26"}

// codeVersion is UnsupportedProtocolVersion of revision 2026-07-28; clients that
// speak it and an older one fall back on it.
const codeVersion = -32022

// A refusal is an HTTP answer to a request whose headers are wrong.
type refusal struct {
	status  int
	code    int
	message string
	data    []byte
}

// checkHeader checks what the transport asks of the headers of a POST. stream
// says whether the client takes an event stream.
func checkHeader(h http.Header) (stream bool, _ *refusal) {
	if v := h["Content-Type"]; len(v) != 1 || !isJSON(v[0]) {
		return false, &refusal{http.StatusUnsupportedMediaType, jsonrpc.InvalidRequest, "the request needs one Content-Type: application/json", nil}
	}
	plain, stream := accepts(h["Accept"])
	if !plain {
		return false, &refusal{http.StatusNotAcceptable, jsonrpc.InvalidRequest, "the request must accept application/json and text/event-stream", nil}
	}
	if v := h["Mcp-Protocol-Version"]; len(v) > 1 || len(v) == 1 && !slices.Contains(revisions, v[0]) {
		requested := ""
		if len(v) == 1 {
			requested = v[0]
		}
		data, _ := json.Marshal(struct { // strings: cannot fail
			Supported []string `json:"supported"`
			Requested string   `json:"requested"`
		}{revisions, requested})
		return false, &refusal{http.StatusBadRequest, codeVersion, "unsupported protocol version", data}
	}
	return stream, nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	t, params, err := mime.ParseMediaType(contentType)
	charset, ok := params["charset"]
	return err == nil && t == "application/json" && (!ok || strings.EqualFold(charset, "utf-8"))
}

// accepts reads Accept: plain for application/json, stream for text/event-stream.
// A client that sends no Accept takes anything (RFC 9110 section 12.5.1); so does
// one that writes */*, but an event stream is only sent to who names it.
func accepts(header []string) (plain, stream bool) {
	if len(header) == 0 {
		return true, false
	}
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(item, ";")
			if q := strings.ReplaceAll(params, " ", ""); strings.HasPrefix(q, "q=0") && strings.Trim(q[3:], ".0") == "" {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "application/json", "application/*", "*/*":
				plain = true
			case "text/event-stream":
				stream = true
			}
		}
	}
	return plain, stream
}
