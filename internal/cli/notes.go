package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/fault"
)

// notesCommand is the MCP server of the organisation that dev seeds: a folder of
// notes, spoken over stdio. It knows nothing of Ambit, as any upstream.
func (a *app) notesCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "notes DIR",
		Short:  "Serve a folder of notes over MCP (stdio)",
		Hidden: true,
		Args:   takes("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, err := os.OpenRoot(args[0])
			if err != nil {
				return fault.Wrap(fault.NotFound, err, "the notes cannot be opened: %v", err)
			}
			defer root.Close()
			return notes{root}.serve(cmd.Context(), a.stdin, a.stdout)
		},
	}
}

// notes is a folder; a note is one file, NAME.md.
type notes struct{ root *os.Root }

// serve answers newline-delimited JSON-RPC until the input ends.
func (n notes) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for ctx.Err() == nil && lines.Scan() {
		var q struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				ProtocolVersion string            `json:"protocolVersion"`
				Name            string            `json:"name"`
				Arguments       map[string]string `json:"arguments"`
			} `json:"params"`
		}
		if json.Unmarshal(lines.Bytes(), &q) != nil || q.ID == nil {
			continue // a notification, or nothing that could be answered
		}
		a := map[string]any{"jsonrpc": "2.0", "id": q.ID}
		switch q.Method {
		case "initialize":
			a["result"] = map[string]any{"protocolVersion": q.Params.ProtocolVersion, "capabilities": map[string]any{"tools": struct{}{}},
				"serverInfo": map[string]string{"name": "notes", "version": release}}
		case "ping":
			a["result"] = struct{}{}
		case "tools/list":
			a["result"] = map[string]any{"tools": noteTools()}
		case "tools/call":
			text, err := n.call(q.Params.Name, q.Params.Arguments)
			if err != nil {
				text = err.Error()
			}
			a["result"] = map[string]any{"content": []any{map[string]string{"type": "text", "text": text}}, "isError": err != nil}
		default:
			a["error"] = map[string]any{"code": -32601, "message": "no such method"}
		}
		line, err := encode(a)
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

func noteTools() []map[string]any {
	tool := func(name, what string, readOnly bool, args ...string) map[string]any {
		properties := map[string]any{}
		for _, a := range args {
			properties[a] = map[string]string{"type": "string"}
		}
		return map[string]any{"name": name, "description": what, "annotations": map[string]bool{"readOnlyHint": readOnly, "openWorldHint": false},
			"inputSchema": map[string]any{"type": "object", "properties": properties, "required": append([]string{}, args...), "additionalProperties": false}}
	}
	return []map[string]any{
		tool("list_notes", "List the names of all notes", true),
		tool("read_note", "Read one note", true, "name"),
		tool("write_note", "Write one note", false, "name", "text"),
	}
}

var noteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

func (n notes) call(tool string, args map[string]string) (string, error) {
	if tool == "list_notes" {
		files, err := fs.Glob(n.root.FS(), "*.md")
		return strings.ReplaceAll(strings.Join(files, "\n"), ".md", ""), err
	}
	if !noteName.MatchString(args["name"]) {
		return "", errors.New("a note's name is letters, digits, - and _")
	}
	file := args["name"] + ".md"
	switch tool {
	case "read_note":
		b, err := n.root.ReadFile(file)
		return string(b), err
	case "write_note":
		return "written", n.root.WriteFile(file, []byte(args["text"]), 0o600)
	}
	return "", fmt.Errorf("there is no tool %q", tool)
}
