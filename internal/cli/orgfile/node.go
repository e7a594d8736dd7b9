package orgfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/fault"
)

// maxDepth bounds how deeply a file nests.
const maxDepth = 64

// maxProblems is how many problems an error spells out.
const maxProblems = 20

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	// number is what JSON calls one: 0x1F, 1_000, +1 and .5 read as something
	// else to somebody.
	number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// A decoder reads one file and collects everything that is wrong with it.
type decoder struct {
	name, dir string
	files     files
	budget    int64 // bytes that may still be read beside the file
	where     map[string]string
	problems  []problem
}

type problem struct {
	line, column int
	text         string
}

func (d *decoder) add(n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, problem{n.Line, n.Column, fmt.Sprintf("%s:%d:%d: ", d.name, n.Line, n.Column) + fmt.Sprintf(format, args...)})
}

// fault returns everything that was found, in the order of the file.
func (d *decoder) fault() error {
	if len(d.problems) == 0 {
		return nil
	}
	sort.SliceStable(d.problems, func(i, j int) bool {
		a, b := d.problems[i], d.problems[j]
		return a.line < b.line || a.line == b.line && a.column < b.column
	})
	var lines []string
	for i, p := range d.problems {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("… and %d more", len(d.problems)-i))
			break
		}
		lines = append(lines, p.text)
	}
	return fault.New(fault.Malformed, "%s", strings.Join(lines, "\n"))
}

// parse reads one YAML document and checks what is common to all nodes.
func (d *decoder) parse(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null") {
		return nil, fault.New(fault.Malformed, "%s: the file says nothing; applied, it would disable everybody", d.name)
	}
	if err != nil {
		return nil, d.syntax(err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, d.syntax(err)
		}
		d.add(&more, "a second YAML document begins here; the file is one")
	}
	d.check(doc.Content[0], 0)
	return doc.Content[0], d.fault()
}

func (d *decoder) syntax(err error) error {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return fault.Wrap(fault.Malformed, err, "%s: the file is not YAML", d.name)
	}
	place := d.name
	if m[1] != "" {
		place += ":" + m[1]
	}
	return fault.New(fault.Malformed, "%s: not YAML: %s", place, m[2])
}

// check refuses, everywhere, what makes a file mean other than what it shows.
func (d *decoder) check(n *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		d.add(n, "the file nests deeper than %d", maxDepth)
		return
	case n.Kind == yaml.AliasNode:
		d.add(n, "*%s: aliases are refused; write it out", n.Value)
		return
	case n.Anchor != "":
		d.add(n, "&%s: anchors are refused; write it out where it is needed", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n, "%s: tags are refused", n.Tag)
	}
	seen := map[string]int{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Kind != yaml.ScalarNode || c.ShortTag() != "!!str" {
				if c.Kind == yaml.ScalarNode && c.ShortTag() != "!!merge" {
					d.add(c, "%s: a key has to be text; quote it", c.Value)
				} else {
					d.add(c, "a key has to be text")
				}
			} else if line, twice := seen[c.Value]; twice {
				d.add(c, "%s: this key is here twice, first in line %d", c.Value, line)
			}
			seen[c.Value] = c.Line
		}
		d.check(c, depth+1)
	}
}

// note remembers where a place of the document is.
func (d *decoder) note(at string, n *yaml.Node) {
	d.where[at] = fmt.Sprintf("%s:%d:%d", d.name, n.Line, n.Column)
}

// fields are the keys of an object and what reads each.
type fields map[string]func(n *yaml.Node, at string)

// object reads a mapping with known keys.
func (d *decoder) object(n *yaml.Node, at, what string, known fields) {
	d.members(n, at, what, func(key, value *yaml.Node, at string) {
		read, ok := known[key.Value]
		if !ok {
			d.unknown(key, what, known)
			return
		}
		if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" {
			d.add(value, "%s has no value; leave it out if there is none", key.Value)
			return
		}
		read(value, at)
	})
}

// members reads a mapping of any keys.
func (d *decoder) members(n *yaml.Node, at, what string, read func(key, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		d.add(n, "%s has to be an object {key: value}, and is %s", what, kindOf(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		place := key.Value
		if at != "" {
			place = at + "." + key.Value
		}
		d.note(place, value)
		read(key, value, place)
	}
}

func (d *decoder) unknown(key *yaml.Node, what string, known fields) {
	var names []string
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	if near := organisation.Nearest(key.Value, names); near != "" {
		d.add(key, "%s: %s has no such key; did you mean %s?", key.Value, what, near)
		return
	}
	d.add(key, "%s: %s has no such key; it has %s", key.Value, what, strings.Join(names, ", "))
}

// each reads a list.
func (d *decoder) each(n *yaml.Node, at, what string, read func(n *yaml.Node, at string)) {
	if n.Kind != yaml.SequenceNode {
		d.add(n, "%s has to be a list, and is %s", what, kindOf(n))
		return
	}
	for i, c := range n.Content {
		place := fmt.Sprintf("%s[%d]", at, i)
		d.note(place, c)
		read(c, place)
	}
}

// text reads a string. What YAML takes for something else has to be quoted, so
// that nobody's id becomes false or 1.0.
func (d *decoder) text(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		return n.Value
	}
	if n.Kind == yaml.ScalarNode {
		d.add(n, "%s is %s where text is wanted; quote it: %q", n.Value, kindOf(n), n.Value)
		return ""
	}
	d.add(n, "text is wanted here, and this is %s", kindOf(n))
	return ""
}

func (d *decoder) texts(n *yaml.Node, at, what string) []string {
	out := []string{}
	d.each(n, at, what, func(n *yaml.Node, _ string) { out = append(out, d.text(n)) })
	return out
}

func (d *decoder) flag(n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		v, _ := strconv.ParseBool(n.Value)
		return v
	}
	d.add(n, "true or false is wanted here, and this is %s", kindOf(n))
	return false
}

// amount reads text or a plain number as text.
func (d *decoder) amount(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && number.MatchString(n.Value) {
		return n.Value
	}
	return d.text(n)
}

// json turns any value into JSON, with the places of its parts noted.
func (d *decoder) json(n *yaml.Node, at string) json.RawMessage {
	switch n.Kind {
	case yaml.MappingNode:
		var parts []string
		d.members(n, at, "this", func(key, value *yaml.Node, at string) {
			parts = append(parts, string(quote(key.Value))+":"+string(d.json(value, at)))
		})
		return json.RawMessage("{" + strings.Join(parts, ",") + "}")
	case yaml.SequenceNode:
		var parts []string
		d.each(n, at, "this", func(n *yaml.Node, at string) { parts = append(parts, string(d.json(n, at))) })
		return json.RawMessage("[" + strings.Join(parts, ",") + "]")
	}
	switch tag := n.ShortTag(); {
	case tag == "!!str":
		return quote(n.Value)
	case tag == "!!null":
		return json.RawMessage("null")
	case tag == "!!bool":
		return json.RawMessage(strconv.FormatBool(d.flag(n)))
	case (tag == "!!int" || tag == "!!float") && number.MatchString(n.Value):
		return json.RawMessage(n.Value)
	}
	d.add(n, "%s is %s; write a plain number, or quote it", n.Value, kindOf(n))
	return json.RawMessage("null")
}

// quote writes a JSON string without escapes that nobody asked for.
func quote(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return json.RawMessage(`""`) // a string always encodes
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// kindOf names what a node is for people.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!null":
		return "nothing"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	}
	return "something else"
}
