package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/fault"
)

// A document is one YAML file, kept as nodes so that what is wrong in it has a
// line and a column. JSON is YAML.
type document struct {
	name string
	root *yaml.Node
}

// parseYAML reads one YAML document. Anchors, aliases and tags are refused: they
// make a file mean other than what it shows.
func parseYAML(name string, data []byte) (document, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return document{}, fault.Wrap(fault.Malformed, err, "%s: %v", name, err)
	}
	if len(n.Content) == 0 {
		return document{}, fault.New(fault.Malformed, "%s: the file says nothing", name)
	}
	d := document{name, n.Content[0]}
	return d, d.check(d.root)
}

func (d document) check(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return d.fault(n, "anchors, aliases and tags are refused; write it out")
	}
	for _, c := range n.Content {
		if err := d.check(c); err != nil {
			return err
		}
	}
	return nil
}

func (d document) fault(n *yaml.Node, format string, args ...any) error {
	return fault.New(fault.Malformed, "%s:%d:%d: %s", d.name, n.Line, n.Column, fmt.Sprintf(format, args...))
}

// settings reads a flat file of known keys into their places. An empty file sets
// nothing.
func settings(name, what string, data []byte, known map[string]*string) error {
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil
	}
	d, err := parseYAML(name, data)
	if err != nil {
		return err
	}
	if d.root.Kind != yaml.MappingNode {
		return d.fault(d.root, "%s has to be an object {key: value}", what)
	}
	var names []string
	for k := range known {
		names = append(names, k)
	}
	sort.Strings(names)
	seen := map[string]bool{}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		key, value := d.root.Content[i], d.root.Content[i+1]
		into, ok := known[key.Value]
		switch {
		case !ok:
			if near := organisation.Nearest(key.Value, names); near != "" {
				return d.fault(key, "%s: %s has no such key; did you mean %s?", key.Value, what, near)
			}
			return d.fault(key, "%s: %s has no such key; it has %s", key.Value, what, strings.Join(names, ", "))
		case seen[key.Value]:
			return d.fault(key, "%s: this key is here twice", key.Value)
		case value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str":
			return d.fault(value, "%s has to be text; quote it", key.Value)
		}
		seen[key.Value], *into = true, value.Value
	}
	return nil
}

// number is what JSON calls one.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// json turns a node into JSON; numbers keep their digits.
func (d document) json(n *yaml.Node) (json.RawMessage, error) {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		var parts []string
		for i := 0; i < len(n.Content); i++ {
			name := ""
			if n.Kind == yaml.MappingNode {
				key, err := encode(n.Content[i].Value)
				if err != nil {
					return nil, err
				}
				name, i = string(key)+":", i+1
			}
			part, err := d.json(n.Content[i])
			if err != nil {
				return nil, err
			}
			parts = append(parts, name+string(part))
		}
		if n.Kind == yaml.MappingNode {
			return json.RawMessage("{" + strings.Join(parts, ",") + "}"), nil
		}
		return json.RawMessage("[" + strings.Join(parts, ",") + "]"), nil
	}
	switch tag := n.ShortTag(); {
	case tag == "!!str":
		return encode(n.Value)
	case tag == "!!null":
		return json.RawMessage("null"), nil
	case tag == "!!bool" && (n.Value == "true" || n.Value == "false"), (tag == "!!int" || tag == "!!float") && number.MatchString(n.Value):
		return json.RawMessage(n.Value), nil
	}
	return nil, d.fault(n, "%s is no plain value; quote it", n.Value)
}

// step is one part of a path as authority.Error writes it: .name, ["a name"] or [3].
var step = regexp.MustCompile(`^(?:\.([A-Za-z0-9_]+)|\[("(?:[^"\\]|\\.)*")\]|\[([0-9]+)\])`)

// at finds the node of a path, or the closest one around it.
func (d document) at(path string) *yaml.Node {
	n := d.root
	for {
		m := step.FindStringSubmatch(path)
		if m == nil {
			return n
		}
		path = path[len(m[0]):]
		name := m[1]
		if m[2] != "" {
			name, _ = strconv.Unquote(m[2])
		}
		next := (*yaml.Node)(nil)
		if i, err := strconv.Atoi(m[3]); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
			next = n.Content[i]
		} else if at := slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c.Value == name }); m[3] == "" && n.Kind == yaml.MappingNode && at >= 0 && at%2 == 0 {
			next = n.Content[at+1]
		}
		if next == nil {
			return n
		}
		n = next
	}
}

// placed reports whether a message begins with a place in a file.
func placed(message string) bool { return filePlace.MatchString(message) }

var filePlace = regexp.MustCompile(`^[^\s:]+:[0-9]+(:[0-9]+)?: `)
