package mapping

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof/authority"
)

func names(c Catalogue, server principal.UID) (out []string) {
	for _, t := range c.ToolsOf(server) {
		out = append(out, t.Name)
	}
	return out
}

func TestCatalogue(t *testing.T) {
	old := catalogue(Tool{Name: "b"}, Tool{Name: "a"}, Tool{Name: "c"})
	if diff := cmp.Diff([]string{"a", "b", "c"}, names(old, records)); diff != "" {
		t.Error(diff)
	}
	b, _ := old.ToolByName(records, "b")
	renamed := b
	renamed.Name = "z"
	next := old.WithTool(renamed)
	if _, ok := next.ToolByName(records, "b"); ok {
		t.Error("a renamed tool answers to its old name")
	}
	if diff := cmp.Diff([]string{"a", "c", "z"}, names(next, records)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names(old, records)); diff != "" {
		t.Error("the old catalogue changed:", diff)
	}
	gone := next.WithoutTool(b.ID)
	if diff := cmp.Diff([]string{"a", "c"}, names(gone, records)); diff != "" {
		t.Error(diff)
	}

	s, _ := old.ServerByHandle("records")
	s.Handle = "charts"
	moved := old.WithServer(s)
	if _, ok := moved.ServerByHandle("records"); ok {
		t.Error("a renamed server answers to its old handle")
	}
	// Remove after add: the handle stays with the newer server.
	other := Server{ID: "srv_00000000000000000000000002", Handle: "records"}
	swapped := old.WithServer(other).WithoutServer(records)
	if got, ok := swapped.ServerByHandle("records"); !ok || got.ID != other.ID {
		t.Errorf("handle records is %v", got.ID)
	}
}

func TestDigest(t *testing.T) {
	ab := catalogue(Tool{Name: "a"}, Tool{Name: "b"})
	a, _ := ab.ToolByName(records, "a")
	b, _ := ab.ToolByName(records, "b")
	srv, _ := ab.Server(records)
	ba := Catalogue{}.WithTool(b).WithServer(srv).WithTool(a)
	if ab.Digest() != ba.Digest() {
		t.Error("the digest depends on the order")
	}
	a.Effect = Destructive
	changed := ab.WithTool(a)
	if changed.Digest() == ab.Digest() {
		t.Error("a changed effect keeps the digest")
	}
	if (Catalogue{}).Digest() != ab.WithoutTool(a.ID).WithoutTool(b.ID).WithoutServer(records).Digest() {
		t.Error("an emptied catalogue is not an empty one")
	}
}

func exact(s string) authority.Constraint {
	raw, _ := json.Marshal(s)
	return authority.Constraint{Exact: &authority.Value{Raw: raw}}
}

func TestFrameOf(t *testing.T) {
	prefix := "/{context.patient}"
	item := func(arg string, c authority.Constraint) authority.Item {
		return authority.Item{Type: authority.MCPTool, Server: string(records), Actions: []string{"read"},
			Arguments: map[string]authority.Constraint{arg: c}}
	}
	c := Catalogue{}.WithServer(Server{ID: records, Handle: "records", Contexts: map[string]Frame{"encounter": {
		item("patient", exact("{context.patient}")),
		item("encounter", exact("{context.id}")),
		item("path", authority.Constraint{PathPrefix: &prefix}),
		item("ward", exact("{context.ward}")),
	}}})

	frame, ok := FrameOf(c, "encounter", "E1", map[string]string{"patient": `P"1{context.id}`, "id": "E2"})
	if !ok || len(frame) != 3 {
		t.Fatalf("got %d items, %v; want 3: ward has no value", len(frame), ok)
	}
	if got := string(frame[0].Arguments["patient"].Exact.Raw); got != `"P\"1{context.id}"` {
		t.Errorf("patient is %s", got)
	}
	if got := string(frame[1].Arguments["encounter"].Exact.Raw); got != `"E1"` {
		t.Errorf("an attribute named id replaced the handle: %s", got)
	}
	if got := *frame[2].Arguments["path"].PathPrefix; got != `/P"1{context.id}` {
		t.Errorf("path is %s", got)
	}
	if prefix != "/{context.patient}" {
		t.Error("the catalogue's frame was changed")
	}

	if _, ok := FrameOf(c, "ticket", "T1", nil); ok {
		t.Error("a type that nobody maps has a frame")
	}
	if frame, ok := FrameOf(c, "encounter", "", nil); !ok || len(frame) != 0 {
		t.Errorf("a context without values admits %v (%v), want an empty frame", frame, ok)
	}
}
