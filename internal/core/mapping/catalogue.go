package mapping

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/table"
	"github.com/ambit-iam/ambit/proof"
)

// A Catalogue is every server and pinned tool of a tenant at one revision. It is
// immutable and safe for concurrent use: With… and Without… return another. The
// zero Catalogue is empty. What it returns must not be modified.
type Catalogue struct {
	servers table.Map[principal.UID, Server]
	tools   table.Map[principal.UID, Tool]
	handles table.Map[string, principal.UID]          // handle → server
	names   table.Map[string, principal.UID]          // server uid + "/" + name → tool
	of      table.Map[principal.UID, []principal.UID] // server → its tools by name
	inputs  table.Map[principal.UID, inputs]          // tool → its arguments
	hashes  table.Map[principal.UID, string]          // of each object, for Digest
	// digest is computed once per value and only when somebody asks: a bulk load
	// passes through thousands of values that nobody does.
	digest func() string
}

// Server returns the server of a uid.
func (c Catalogue) Server(id principal.UID) (Server, bool) { return c.servers.Get(id) }

// ServerByHandle returns the server of a handle.
func (c Catalogue) ServerByHandle(handle string) (Server, bool) {
	id, ok := c.handles.Get(handle)
	if !ok {
		return Server{}, false
	}
	return c.servers.Get(id)
}

// Servers ranges over all servers in no order.
func (c Catalogue) Servers() iter.Seq2[principal.UID, Server] { return c.servers.All() }

// Tool returns the tool of a uid.
func (c Catalogue) Tool(id principal.UID) (Tool, bool) { return c.tools.Get(id) }

// ToolByName returns a server's tool by its exact name.
func (c Catalogue) ToolByName(server principal.UID, name string) (Tool, bool) {
	id, ok := c.names.Get(string(server) + "/" + name)
	if !ok {
		return Tool{}, false
	}
	return c.tools.Get(id)
}

// ToolsOf returns a server's tools sorted by name.
func (c Catalogue) ToolsOf(server principal.UID) []Tool {
	ids, _ := c.of.Get(server)
	tools := make([]Tool, 0, len(ids))
	for _, id := range ids {
		t, _ := c.tools.Get(id)
		tools = append(tools, t)
	}
	return tools
}

// WithServer returns c with s added or replaced.
func (c Catalogue) WithServer(s Server) Catalogue {
	c = c.unhandled(s.ID)
	c.servers = c.servers.With(s.ID, s)
	c.handles = c.handles.With(s.Handle, s.ID)
	return c.hashed(s.ID, s)
}

// WithoutServer returns c without a server; its tools stay until they are
// removed too, but nobody finds them by a server's name.
func (c Catalogue) WithoutServer(id principal.UID) Catalogue {
	c = c.unhandled(id)
	c.servers = c.servers.Without(id)
	return c.unhashed(id)
}

// unhandled drops a server's handle, unless another server has taken it since.
func (c Catalogue) unhandled(id principal.UID) Catalogue {
	s, _ := c.servers.Get(id)
	if now, _ := c.handles.Get(s.Handle); now == id {
		c.handles = c.handles.Without(s.Handle)
	}
	return c
}

// WithTool returns c with t added or replaced.
func (c Catalogue) WithTool(t Tool) Catalogue {
	c = c.forget(t.ID)
	c.tools, c.inputs = c.tools.With(t.ID, t), c.inputs.With(t.ID, inputsOf(t.Definition))
	c.names = c.names.With(string(t.Server)+"/"+t.Name, t.ID)
	ids, _ := c.of.Get(t.Server)
	at, _ := slices.BinarySearchFunc(ids, t.Name, func(id principal.UID, name string) int {
		other, _ := c.tools.Get(id)
		return strings.Compare(other.Name, name)
	})
	c.of = c.of.With(t.Server, slices.Insert(slices.Clone(ids), at, t.ID))
	return c.hashed(t.ID, t)
}

// WithoutTool returns c without a tool.
func (c Catalogue) WithoutTool(id principal.UID) Catalogue {
	c = c.forget(id)
	c.tools, c.inputs = c.tools.Without(id), c.inputs.Without(id)
	return c.unhashed(id)
}

// forget drops a tool from the indexes.
func (c Catalogue) forget(id principal.UID) Catalogue {
	t, ok := c.tools.Get(id)
	if !ok {
		return c
	}
	if key := string(t.Server) + "/" + t.Name; c.named(key) == id {
		c.names = c.names.Without(key)
	}
	ids, _ := c.of.Get(t.Server)
	left := slices.DeleteFunc(slices.Clone(ids), func(other principal.UID) bool { return other == id })
	c.of = c.of.With(t.Server, left)
	return c
}

func (c Catalogue) named(key string) principal.UID {
	id, _ := c.names.Get(key)
	return id
}

func (c Catalogue) hashed(id principal.UID, v any) Catalogue {
	b, err := json.Marshal(v)
	if err != nil {
		// A definition that is not JSON: the rest of it still has to count.
		b = []byte(err.Error())
	}
	c.hashes = c.hashes.With(id, proof.Hash(b))
	return c.sealed()
}

func (c Catalogue) unhashed(id principal.UID) Catalogue {
	c.hashes = c.hashes.Without(id)
	return c.sealed()
}

func (c Catalogue) sealed() Catalogue {
	hashes := c.hashes
	c.digest = sync.OnceValue(func() string { return digest(hashes) })
	return c
}

// Digest returns a base64url SHA-256 over all servers and tools: equal contents
// have equal digests, whatever the order they came in.
func (c Catalogue) Digest() string {
	if c.digest == nil {
		return digest(c.hashes)
	}
	return c.digest()
}

func digest(hashes table.Map[principal.UID, string]) string {
	lines := make([]string, 0, hashes.Len())
	for id, h := range hashes.All() {
		lines = append(lines, string(id)+" "+h+"\n")
	}
	slices.Sort(lines)
	return proof.Hash([]byte(strings.Join(lines, "")))
}
