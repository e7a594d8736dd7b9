package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"go.yaml.in/yaml/v3"

	"github.com/ambit-iam/ambit/internal/fault"
)

func (a *app) checkOutput() error {
	switch a.output {
	case "table", "json", "yaml", "jsonl":
		return nil
	}
	return usage{fmt.Sprintf("--output is table, json, yaml or jsonl, not %q", a.output)}
}

// print writes data to stdout as the user asked for it: v as JSON, YAML or JSON
// lines, or what text writes.
func (a *app) print(v any, text func(w io.Writer)) error {
	if a.output == "table" {
		return a.text(a.stdout, text)
	}
	raw, err := encode(v)
	if err != nil {
		return err
	}
	switch a.output {
	case "json":
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", "  "); err != nil {
			return err
		}
		raw = append(b.Bytes(), '\n')
	case "jsonl":
		raw, err = lines(raw)
	case "yaml":
		raw, err = blocks(raw)
	}
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(raw)
	return err
}

// encode is json.Marshal without its rewriting of <, > and &.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// lines writes the elements of an array, or one value, one a line.
func lines(raw []byte) ([]byte, error) {
	each := []json.RawMessage{raw}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		if err := json.Unmarshal(raw, &each); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	for _, e := range each {
		if err := json.Compact(&b, e); err != nil {
			return nil, err
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// blocks rewrites JSON as YAML in the same order.
func blocks(raw []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	var plain func(n *yaml.Node)
	plain = func(n *yaml.Node) {
		if !misread.MatchString(n.Value) {
			n.Style = 0
		}
		for _, c := range n.Content {
			plain(c)
		}
	}
	plain(&doc)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// misread is text that readers of an older YAML take for a boolean or a number.
var misread = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$|^[-+]?[0-9][0-9:_.]*$`)

// text writes prose. What names, intents and servers put into it cannot move a
// terminal or turn its letters around.
func (a *app) text(w io.Writer, write func(w io.Writer)) error {
	var b bytes.Buffer
	write(&b)
	_, err := io.WriteString(w, strings.Map(harmless, b.String()))
	return err
}

func harmless(r rune) rune {
	if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
		return unicode.ReplacementChar
	}
	return r
}

// say writes one line to stderr.
func (a *app) say(format string, args ...any) {
	a.text(a.stderr, func(w io.Writer) { fmt.Fprintf(w, format+"\n", args...) })
}

// terminal reports whether a stream of the command is somebody's terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// plural counts things for people.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// writeFile writes a file in one piece, so that a reader never sees half of it.
// Its mode is 0600: what Ambit writes is a key, a mandate or evidence.
func writeFile(path string, data []byte) error {
	tmp := path + ".tmp"
	err := os.WriteFile(tmp, data, 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "%s cannot be written: %v", path, err)
	}
	return nil
}
