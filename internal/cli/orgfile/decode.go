package orgfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/organisation"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/schema"
)

// decode reads data, which stands in the file of a name in the folder dir.
func decode(name, dir string, data []byte, fs files) (File, error) {
	d := &decoder{name: name, dir: dir, files: fs, budget: maxTotal, where: map[string]string{}}
	root, err := d.parse(data)
	if err != nil {
		return File{}, err
	}
	f := File{Name: name, where: d.where}
	d.document(root, &f.Document)
	if err := d.fault(); err != nil {
		return File{}, err
	}
	if err := f.Document.Validate(); err != nil {
		return File{}, f.Explain(err)
	}
	return f, nil
}

// add appends a zero T to a list and returns it.
func add[T any](list *[]T) *T {
	var zero T
	*list = append(*list, zero)
	return &(*list)[len(*list)-1]
}

func (d *decoder) document(n *yaml.Node, doc *organisation.Document) {
	list := func(one func(n *yaml.Node, at string)) func(*yaml.Node, string) {
		return func(n *yaml.Node, at string) { d.each(n, at, at, one) }
	}
	d.object(n, "", "the file", fields{
		"users":      list(func(n *yaml.Node, at string) { d.user(n, at, add(&doc.Users)) }),
		"groups":     list(func(n *yaml.Node, at string) { d.group(n, at, add(&doc.Groups)) }),
		"workloads":  list(func(n *yaml.Node, at string) { d.workload(n, at, add(&doc.Workloads)) }),
		"blueprints": list(func(n *yaml.Node, at string) { d.blueprint(n, at, add(&doc.Blueprints)) }),
		"agents":     list(func(n *yaml.Node, at string) { d.agent(n, at, add(&doc.Agents)) }),
		"servers":    list(func(n *yaml.Node, at string) { d.server(n, at, add(&doc.Servers)) }),
		"tuples":     list(func(n *yaml.Node, at string) { d.tuple(n, at, add(&doc.Tuples)) }),
		"tests":      list(func(n *yaml.Node, at string) { d.test(n, at, add(&doc.Tests)) }),
		"model":      func(n *yaml.Node, at string) { doc.Model = d.model(n, at) },
		"policies":   func(n *yaml.Node, at string) { doc.Policies = d.policies(n, at) },
	})
}

// set reads text into *s, and so on for the other kinds.
func (d *decoder) set(s *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, _ string) { *s = d.text(n) }
}

func (d *decoder) setFlag(b *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, _ string) { *b = d.flag(n) }
}

func (d *decoder) setTexts(list *[]string, what string) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) { *list = d.texts(n, at, what) }
}

func (d *decoder) setKey(key *json.RawMessage) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) { *key = d.key(n, at) }
}

func (d *decoder) user(n *yaml.Node, at string, u *organisation.User) {
	d.object(n, at, "a user", fields{"id": d.set(&u.ID), "name": d.set(&u.Name), "manager": d.set(&u.Manager),
		"groups": d.setTexts(&u.Groups, "groups"), "key": d.setKey(&u.Key), "disabled": d.setFlag(&u.Disabled)})
}

func (d *decoder) group(n *yaml.Node, at string, g *organisation.Group) {
	d.object(n, at, "a group", fields{"id": d.set(&g.ID), "name": d.set(&g.Name)})
}

func (d *decoder) workload(n *yaml.Node, at string, w *organisation.Workload) {
	d.object(n, at, "a workload", fields{"id": d.set(&w.ID), "owner": d.set(&w.Owner),
		"groups": d.setTexts(&w.Groups, "groups"), "key": d.setKey(&w.Key), "disabled": d.setFlag(&w.Disabled)})
}

func (d *decoder) blueprint(n *yaml.Node, at string, b *organisation.Blueprint) {
	d.object(n, at, "a blueprint", fields{"id": d.set(&b.ID), "owner": d.set(&b.Owner), "purpose": d.set(&b.Purpose),
		"entitlement": d.set(&b.Entitlement), "bearer": d.setFlag(&b.Bearer), "disabled": d.setFlag(&b.Disabled),
		"ceiling":     func(n *yaml.Node, at string) { b.Ceiling = d.authority(n, at, "ceiling", "") },
		"requestable": func(n *yaml.Node, at string) { b.Requestable = d.authority(n, at, "requestable", "") }})
}

func (d *decoder) agent(n *yaml.Node, at string, a *organisation.Agent) {
	d.object(n, at, "an agent", fields{"id": d.set(&a.ID), "blueprint": d.set(&a.Blueprint), "owner": d.set(&a.Owner),
		"key": d.setKey(&a.Key), "disabled": d.setFlag(&a.Disabled)})
}

func (d *decoder) server(n *yaml.Node, at string, s *organisation.Server) {
	d.object(n, at, "a server", fields{"id": d.set(&s.ID), "url": d.set(&s.URL),
		"stdio":   d.setTexts(&s.Stdio, "stdio"),
		"dir":     func(n *yaml.Node, _ string) { s.Dir = d.path(d.text(n)) },
		"env":     func(n *yaml.Node, at string) { s.Env = d.secrets(n, at, "env") },
		"headers": func(n *yaml.Node, at string) { s.Headers = d.secrets(n, at, "headers") },
		"tools":   func(n *yaml.Node, at string) { s.Tools = d.tools(n, at) },
		// After the id, wherever that stands: a frame's items are about this server.
		"contexts": func(*yaml.Node, string) {},
	})
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "contexts" && n.Content[i+1].ShortTag() != "!!null" {
				s.Contexts = d.contexts(n.Content[i+1], at+".contexts", s.ID)
			}
		}
	}
	if len(s.Stdio) > 0 && s.Dir == "" {
		s.Dir = d.dir // so "./data" in a command is beside the file
	}
}

func (d *decoder) contexts(n *yaml.Node, at, server string) map[string]organisation.Context {
	out := map[string]organisation.Context{}
	d.members(n, at, "contexts", func(key, value *yaml.Node, at string) {
		var c organisation.Context
		d.object(value, at, "a context", fields{"frame": func(n *yaml.Node, at string) { c.Frame = d.authority(n, at, "frame", server) }})
		out[key.Value] = c
	})
	return out
}

func (d *decoder) tools(n *yaml.Node, at string) map[string]organisation.Tool {
	out := map[string]organisation.Tool{}
	d.members(n, at, "tools", func(key, value *yaml.Node, at string) {
		var t organisation.Tool
		d.object(value, at, "a tool", fields{
			"effect":   func(n *yaml.Node, _ string) { t.Effect = mapping.Effect(d.text(n)) },
			"resource": func(n *yaml.Node, _ string) { t.Resource = mapping.Template(d.text(n)) },
			"cost":     func(n *yaml.Node, _ string) { t.Cost = mapping.Amount(d.amount(n)) },
			"rows":     func(n *yaml.Node, _ string) { t.Rows = mapping.Amount(d.amount(n)) },
		})
		out[key.Value] = t
	})
	return out
}

// secrets reads env and headers: references only, and plain values only where
// they say that they are plain.
func (d *decoder) secrets(n *yaml.Node, at, what string) map[string]mapping.Secret {
	out := map[string]mapping.Secret{}
	d.members(n, at, what, func(key, value *yaml.Node, at string) {
		if value.Kind == yaml.ScalarNode {
			// The value is not repeated: it may well be the secret.
			d.add(value, "%s: a secret is never written in the file; use {env: NAME} or {file: path}, and {value: …} for what is no secret", key.Value)
			return
		}
		var s mapping.Secret
		d.object(value, at, "a secret", fields{"env": d.set(&s.FromEnv), "prefix": d.set(&s.Prefix), "value": d.set(&s.Value),
			"file": func(n *yaml.Node, _ string) { s.FromFile = d.path(d.text(n)) }})
		out[key.Value] = s
	})
	return out
}

func (d *decoder) tuple(n *yaml.Node, at string, t *relation.Tuple) {
	d.object(n, at, "a tuple", fields{"object": d.set(&t.Object), "relation": d.set(&t.Relation), "subject": d.set(&t.Subject)})
}

func (d *decoder) test(n *yaml.Node, at string, t *organisation.Test) {
	d.object(n, at, "a test", fields{"can": d.setTexts(&t.Can, "can"), "for": d.set(&t.For), "expect": d.set(&t.Expect),
		"link": d.set(&t.Link), "stage": d.set(&t.Stage),
		"args": func(n *yaml.Node, at string) {
			if n.Kind != yaml.MappingNode {
				d.add(n, "args have to be an object {name: value}, and are %s", kindOf(n))
				return
			}
			t.Args = d.json(n, at)
		},
		"context": func(n *yaml.Node, at string) {
			t.Context = map[string]string{}
			d.members(n, at, "context", func(key, value *yaml.Node, _ string) { t.Context[key.Value] = d.text(value) })
		}})
}

// path resolves a path of the file against the file's folder.
func (d *decoder) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(d.dir, p)
}

// beside reads a file that the file names.
func (d *decoder) beside(n *yaml.Node, path string, max int64) ([]byte, bool) {
	if path == "" {
		d.add(n, "the path is empty")
		return nil, false
	}
	b, err := d.files.read(d.path(path), max)
	if err != nil {
		d.add(n, "%s", message(err))
		return nil, false
	}
	if d.budget -= int64(len(b)); d.budget < 0 {
		d.add(n, "the files beside this one are longer than %d MB in all", maxTotal>>20)
		return nil, false
	}
	return b, true
}

// key reads {file: path} or {jwk: …}.
func (d *decoder) key(n *yaml.Node, at string) (key json.RawMessage) {
	forms := 0
	d.object(n, at, "a key", fields{
		"file": func(n *yaml.Node, _ string) {
			forms++
			if b, ok := d.beside(n, d.text(n), maxKey); ok {
				key = bytes.TrimSpace(b)
			}
		},
		"jwk": func(n *yaml.Node, at string) {
			forms++
			if n.Kind == yaml.ScalarNode {
				key = json.RawMessage(d.text(n))
			} else {
				key = d.json(n, at)
			}
		},
	})
	if n.Kind == yaml.MappingNode && forms != 1 {
		d.add(n, "a key is {file: path of a public JWK} or {jwk: …}")
	}
	if len(key) > 0 && !json.Valid(key) {
		d.add(n, "the key is not a JWK: it is not JSON")
		return nil
	}
	return key
}

// model reads {file: path} or the text itself, in the language of OpenFGA.
func (d *decoder) model(n *yaml.Node, at string) *relation.Model {
	text, ok := n.Value, n.Kind == yaml.ScalarNode
	if !ok {
		d.object(n, at, "the model", fields{"file": func(n *yaml.Node, _ string) {
			var b []byte
			path := d.text(n)
			if b, ok = d.beside(n, path, maxModel); ok {
				text = string(b)
				d.where["model"] = path
			}
		}})
	}
	if !ok {
		return nil
	}
	m, err := schema.ParseOpenFGA(text)
	if err != nil {
		d.add(n, "%s", message(err))
		return nil
	}
	return &m
}

// policies reads {dir: path} or a list of texts and {file: path}. They are parsed
// here already, so that an error names the file that it is in.
func (d *decoder) policies(n *yaml.Node, at string) []organisation.Source {
	var out []organisation.Source
	source := func(n *yaml.Node, name, text string) {
		if _, err := policy.Parse(name, text); err != nil {
			d.add(n, "%s", message(err))
			return
		}
		out = append(out, organisation.Source{Name: name, Text: text})
	}
	file := func(n *yaml.Node, path string) {
		if b, ok := d.beside(n, path, maxPolicy); ok {
			d.where[fmt.Sprintf("policies[%d]", len(out))] = path
			source(n, filepath.Base(path), string(b))
		}
	}
	if n.Kind == yaml.SequenceNode {
		d.each(n, at, "policies", func(n *yaml.Node, at string) {
			if n.Kind == yaml.ScalarNode {
				source(n, at, d.text(n))
				return
			}
			d.object(n, at, "a policy", fields{"file": func(n *yaml.Node, _ string) { file(n, d.text(n)) }})
		})
		return out
	}
	d.object(n, at, "policies", fields{"dir": func(n *yaml.Node, _ string) {
		dir := d.text(n)
		names, err := d.files.list(d.path(dir))
		switch {
		case err != nil:
			d.add(n, "%s", message(err))
			return
		case len(names) == 0:
			d.add(n, "%s holds no .cedar file", dir)
		case len(names) > maxPolicies:
			d.add(n, "%s holds %d policies; the bound is %d files", dir, len(names), maxPolicies)
			return
		}
		for _, name := range names {
			file(n, filepath.Join(dir, name))
		}
	}})
	return out
}
