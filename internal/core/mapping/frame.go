package mapping

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/proof/authority"
)

var inContext = regexp.MustCompile(`\{context\.([^{}]+)\}`)

// FrameOf returns the frame that an open context of a type yields over all
// servers: what no item admits is outside, on whichever server. It is false when
// no server says what that type means: then the context opens and closes the
// mission and frames nothing.
//
// An item that needs an attribute which the context has not, or which is empty,
// is left out: it admits nothing. Revoked servers contribute nothing.
func FrameOf(c Catalogue, typ, handle string, attributes map[string]string) (authority.Set, bool) {
	values := maps.Clone(attributes)
	if values == nil {
		values = map[string]string{}
	}
	values["id"] = handle // last: no attribute stands in for the handle
	framed := false
	var servers []Server
	for _, s := range c.Servers() {
		servers = append(servers, s)
	}
	slices.SortFunc(servers, func(a, b Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	frame := authority.Set{}
	for _, s := range servers {
		items, ok := s.Contexts[typ]
		framed = framed || ok
		if s.Revoked {
			continue
		}
		for _, item := range items {
			if filled, ok := fillItem(item, values); ok {
				frame = append(frame, filled)
			}
		}
	}
	if !framed {
		return nil, false
	}
	return frame, true
}

func fillItem(item authority.Item, values map[string]string) (authority.Item, bool) {
	if item.Resource != nil {
		r, ok := fillConstraint(*item.Resource, values)
		if !ok {
			return item, false
		}
		item.Resource = &r
	}
	args := make(map[string]authority.Constraint, len(item.Arguments))
	for name, c := range item.Arguments {
		filled, ok := fillConstraint(c, values)
		if !ok {
			return item, false
		}
		args[name] = filled
	}
	if len(args) > 0 {
		item.Arguments = args
	}
	return item, true
}

// fillConstraint copies c with its placeholders filled; it never changes c,
// which the catalogue shares.
func fillConstraint(c authority.Constraint, values map[string]string) (authority.Constraint, bool) {
	ok := true
	text := func(p *string) *string {
		if p == nil {
			return nil
		}
		s, filled := fill(*p, values)
		ok = ok && filled
		return &s
	}
	value := func(v authority.Value) authority.Value {
		s, isText := v.Text()
		if !isText {
			return v
		}
		s, filled := fill(s, values)
		ok = ok && filled
		return authority.StringValue(s)
	}
	c.Prefix, c.PathPrefix, c.Suffix = text(c.Prefix), text(c.PathPrefix), text(c.Suffix)
	if c.Exact != nil {
		v := value(*c.Exact)
		c.Exact = &v
	}
	c.OneOf = slices.Clone(c.OneOf)
	for i, v := range c.OneOf {
		c.OneOf[i] = value(v)
	}
	c.And = slices.Clone(c.And)
	for i, inner := range c.And {
		filled, good := fillConstraint(inner, values)
		c.And[i], ok = filled, ok && good
	}
	return c, ok
}

// fill puts values for placeholders, once: what a value holds is not read again.
func fill(s string, values map[string]string) (string, bool) {
	ok := true
	out := inContext.ReplaceAllStringFunc(s, func(p string) string {
		v := values[p[len("{context."):len(p)-1]]
		ok = ok && v != ""
		return v
	})
	return out, ok
}
