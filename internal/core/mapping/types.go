package mapping

import (
	"encoding/json"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

// A Server is an MCP server behind the gateway.
type Server struct {
	ID     principal.UID `json:"id"`
	Handle string        `json:"handle"`
	// URL of a streamable HTTP server, or Command of a stdio one; exactly one.
	URL     string   `json:"url,omitempty"`
	Command []string `json:"command,omitempty"`
	Dir     string   `json:"dir,omitempty"` // working directory of Command
	// Env are the variables Command is started with, beside PATH and HOME; it
	// inherits nothing. Headers are sent to URL.
	Env     map[string]Secret `json:"env,omitempty"`
	Headers map[string]Secret `json:"headers,omitempty"`
	// Contexts says, by context type, what frame an open context yields.
	Contexts map[string]Frame `json:"contexts,omitempty"`
	Revoked  bool             `json:"revoked,omitempty"`
}

// A Secret is a value that agents never hold: plain (not secret), or a reference
// that the broker opens with a Permit. Exactly one of Value, FromEnv and
// FromFile is set. Prefix ("Bearer ") is put before what a reference yields.
type Secret struct {
	Value    string `json:"value,omitempty"`
	FromEnv  string `json:"env,omitempty"`
	FromFile string `json:"file,omitempty"` // absolute
	Prefix   string `json:"prefix,omitempty"`
}

// A Tool is one tool of a server, as it was shown and accepted. It is pinned:
// what agents are listed is Definition, byte for byte.
type Tool struct {
	ID     principal.UID `json:"id"`
	Server principal.UID `json:"server"`
	Name   string        `json:"name"`
	// Definition is the tool as the server showed it in tools/list.
	Definition json.RawMessage `json:"definition"`
	// Pin is the base64url SHA-256 of the JCS form of Definition.
	Pin      string   `json:"pin"`
	Effect   Effect   `json:"effect"`
	Resource Template `json:"resource,omitempty"` // "patient:{args.patient}"; "" means no resource
	Cost     Amount   `json:"cost,omitempty"`
	Rows     Amount   `json:"rows,omitempty"`
	Revoked  bool     `json:"revoked,omitempty"`
}

// An Effect is the class of what a tool does. Unknown is treated as Write.
type Effect string

// The effect classes.
const (
	Read        Effect = "read"
	Write       Effect = "write"
	Destructive Effect = "destructive"
	Egress      Effect = "egress"
	Payment     Effect = "payment"
	Identity    Effect = "identity"
)

// A Template is "type:text" with {args.name} in the text: it names the resource
// of a call. What an argument holds is put in as it is, never read again, so no
// value can change the type or reach into another placeholder. "" names no
// resource.
type Template string

// An Amount is what one call costs: "" (nothing), digits, or "args.name", the
// whole number that argument holds.
type Amount string

// A Frame is a list of authority items whose strings may hold {context.id} and
// {context.name} for the context's handle and attributes.
type Frame = authority.Set

// An Action is the meaning of one call.
type Action struct {
	Type      authority.Type
	Server    principal.UID
	Tool      principal.UID // "" for a management action
	Name      string        // tool name, or management action such as "mission.create"
	Effect    Effect
	Resource  string // "type:id", "" when there is none
	Arguments map[string]json.RawMessage
	// Unknown says that the arguments are not known yet: list filtering.
	Unknown bool
	// Cost and Rows are what the call is priced at; negative when the mapping
	// cannot price it, which fails a limit of that kind.
	Cost, Rows int64
}
