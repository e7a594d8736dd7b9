package organisation

import (
	"bytes"
	"encoding/json"

	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
	"github.com/ambit-iam/ambit/proof/authority"
)

// A Document is the declarative file as JSON, with handles in place of uids. It
// is the whole truth for servers, their tools, policies that are not built in,
// the model, and the tuples that a document declared before: what it does not
// say is removed. A principal or blueprint that it does not say is disabled and
// never deleted, because the ledger speaks of it.
type Document struct {
	Users      []User           `json:"users,omitempty"`
	Groups     []Group          `json:"groups,omitempty"`
	Workloads  []Workload       `json:"workloads,omitempty"`
	Blueprints []Blueprint      `json:"blueprints,omitempty"`
	Agents     []Agent          `json:"agents,omitempty"`
	Servers    []Server         `json:"servers,omitempty"`
	Model      *relation.Model  `json:"model,omitempty"`
	Tuples     []relation.Tuple `json:"tuples,omitempty"` // principals by handle: user:clinician
	Policies   []Source         `json:"policies,omitempty"`
	Tests      []Test           `json:"tests,omitempty"`
}

// A User is a person. ID is a handle here, as in every noun of a document.
type User struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	Manager  string          `json:"manager,omitempty"`
	Groups   []string        `json:"groups,omitempty"`
	Key      json.RawMessage `json:"key,omitempty"` // public JWK (EC P-256)
	Disabled bool            `json:"disabled,omitempty"`
}

// A Group is a set of users or workloads.
type Group struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// A Workload is a machine principal.
type Workload struct {
	ID       string          `json:"id"`
	Owner    string          `json:"owner"`
	Groups   []string        `json:"groups,omitempty"`
	Key      json.RawMessage `json:"key,omitempty"`
	Disabled bool            `json:"disabled,omitempty"`
}

// A Blueprint is a class of agents. In its authorities server is a handle, type
// defaults to mcp_tool, and actions may be patterns with *, which expand to the
// tools that the server shows when the document is applied.
type Blueprint struct {
	ID          string        `json:"id"`
	Owner       string        `json:"owner"`
	Purpose     string        `json:"purpose"`
	Entitlement string        `json:"entitlement"` // delegated or own
	Ceiling     authority.Set `json:"ceiling"`
	Requestable authority.Set `json:"requestable,omitempty"`
	Bearer      bool          `json:"bearer,omitempty"`
	Disabled    bool          `json:"disabled,omitempty"`
}

// An Agent is a long-lived identity made from a blueprint, whose owner owns it
// unless Owner says otherwise.
type Agent struct {
	ID        string          `json:"id"`
	Blueprint string          `json:"blueprint"`
	Owner     string          `json:"owner,omitempty"`
	Key       json.RawMessage `json:"key,omitempty"`
	Disabled  bool            `json:"disabled,omitempty"`
}

// A Server is an MCP server: URL or Stdio, exactly one.
type Server struct {
	ID      string                    `json:"id"`
	URL     string                    `json:"url,omitempty"`
	Stdio   []string                  `json:"stdio,omitempty"`
	Dir     string                    `json:"dir,omitempty"` // absolute
	Env     map[string]mapping.Secret `json:"env,omitempty"`
	Headers map[string]mapping.Secret `json:"headers,omitempty"`
	// Tools says what tools mean, by name or pattern. An exact name beats a
	// pattern, and of two patterns the one with more literal characters.
	Tools map[string]Tool `json:"tools,omitempty"`
	// Contexts says, by type of context, what frame an open one yields here.
	Contexts map[string]Context `json:"contexts,omitempty"`
}

// A Tool is the meaning of the tools that a name or pattern selects. Without an
// Effect the server's own hints are believed as far as mapping.EffectOf does.
type Tool struct {
	Effect   mapping.Effect   `json:"effect,omitempty"`
	Resource mapping.Template `json:"resource,omitempty"`
	Cost     mapping.Amount   `json:"cost,omitempty"`
	Rows     mapping.Amount   `json:"rows,omitempty"`
}

// A Context is what an open context of one type yields on one server.
type Context struct {
	Frame mapping.Frame `json:"frame"`
}

// A Source is Cedar text and where it came from: a file name, or a place in the
// document.
type Source struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// A Test asks what would be decided under a mission that the person For gives
// the agent, with all that its blueprint allows.
type Test struct {
	// Can is ["agent:a", "server.tool"] and optionally "type:id".
	Can []string `json:"can"`
	For string   `json:"for"` // user:u
	// Args are the call's arguments. Without them they are read back from the
	// resource through the tool's template, or, where it has none, unknown.
	Args json.RawMessage `json:"args,omitempty"`
	// Context opens a context for the mission: one key is a type that some server
	// maps, the others are its attributes.
	Context map[string]string `json:"context,omitempty"`
	Expect  string            `json:"expect"`          // allow, deny or challenge
	Link    string            `json:"link,omitempty"`  // agent:a: the binding principal
	Stage   string            `json:"stage,omitempty"` // the binding stage
}

// Parse reads a Document strictly: an unknown member, a member twice and
// trailing bytes are fault.Malformed. It does not validate what it read.
func Parse(b []byte) (Document, error) {
	if _, err := proof.Canonical(b); err != nil {
		return Document{}, fault.Wrap(fault.Malformed, err, "the document is not strict JSON: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var d Document
	if err := dec.Decode(&d); err != nil {
		return Document{}, fault.Wrap(fault.Malformed, err, "the document cannot be read: %v", err)
	}
	return d, nil
}
