package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	openfga "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"

	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
)

// The bounds of a model's text. OpenFGA's own bound on size is the same. The
// parser recurses by parenthesis, so nesting is bounded before it sees the text.
const (
	maxSize  = 256 << 10
	maxDepth = 32
)

// ParseOpenFGA returns the model that an OpenFGA DSL (schema 1.1) defines, with
// the text as its Source. Everything relation can compute is taken: direct
// assignment, usersets, wildcards, computed relations, "x from y" and "or".
// Intersection, exclusion, conditions and modules are refused. Faults are
// Malformed (TooLarge above 256 KiB) and name line and column, from 1.
func ParseOpenFGA(dsl string) (m relation.Model, err error) {
	if len(dsl) > maxSize {
		return relation.Model{}, fault.New(fault.TooLarge, "model: %d bytes of text: the bound is %d", len(dsl), maxSize)
	}
	p := parser{lines: strings.Split(dsl, "\n")}
	if err := p.nesting(); err != nil {
		return relation.Model{}, err
	}
	// The transformer's listener walks the tree of a text with syntax errors too,
	// and dereferences what is missing there.
	defer func() {
		if recover() != nil {
			m, err = relation.Model{}, fault.New(fault.Malformed, "model: the text is not an OpenFGA model (schema 1.1)")
		}
	}()
	proto, err := transformer.TransformDSLToProto(dsl)
	if err != nil {
		return relation.Model{}, syntax(err)
	}
	if m, err = p.model(proto); err != nil {
		return relation.Model{}, err
	}
	m.Source = dsl
	if err := m.Validate(); err != nil {
		if bad, ok := errors.AsType[*relation.Invalid](err); ok {
			return relation.Model{}, p.at(bad.Type, bad.Relation, "relation %s of type %s %s", bad.Relation, bad.Type, bad.Reason)
		}
		return relation.Model{}, err
	}
	return m, nil
}

// syntax renders the first error of the grammar. Its type keeps line and column
// to itself and counts them from 0; its text has both.
func syntax(err error) error {
	if many, ok := errors.AsType[*transformer.OpenFgaDslSyntaxMultipleError](err); ok && len(many.Errors) > 0 {
		err = many.Errors[0]
	}
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), "syntax error at line=%d, column=%d:", &line, &column); scanErr != nil {
		return fault.New(fault.Malformed, "model: the text is not an OpenFGA model (schema 1.1)")
	}
	_, message, _ := strings.Cut(err.Error(), ": ")
	return fault.New(fault.Malformed, "model: line %d, column %d: %.300s", line+1, column+1, message)
}

// A parser turns OpenFGA's form of a model into ours and knows where things stood.
type parser struct{ lines []string }

// nesting refuses parentheses that nest too deeply outside comments.
func (p parser) nesting() error {
	depth := 0
	for n, line := range p.lines {
		code, _, _ := strings.Cut(" "+line, " #")
		for column, c := range code {
			switch c {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth > maxDepth {
				return fault.New(fault.Malformed, "model: line %d, column %d: parentheses nest deeper than %d", n+1, column, maxDepth)
			}
		}
	}
	return nil
}

// at returns a fault at the definition of a relation, or of a type when relation
// is "".
func (p parser) at(typ, name, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	line, column := p.find(0, `type\s+(`+regexp.QuoteMeta(typ)+`)`)
	if name != "" && line > 0 {
		if l, c := p.find(line, `define\s+(`+regexp.QuoteMeta(name)+`)`); l > 0 {
			line, column = l, c
		}
	}
	if line == 0 {
		return fault.New(fault.Malformed, "model: %s", what)
	}
	return fault.New(fault.Malformed, "model: line %d, column %d: %s", line, column, what)
}

// find returns the line and column, from 1, of the first group of a pattern that
// begins a line after the first n; zero when there is none.
func (p parser) find(n int, pattern string) (line, column int) {
	re := regexp.MustCompile(`^\s*` + pattern + `(?:[\s:#(]|$)`)
	for i, text := range p.lines[n:] {
		if at := re.FindStringSubmatchIndex(text); at != nil {
			return n + i + 1, at[2] + 1
		}
	}
	return 0, 0
}

func (p parser) model(proto *openfga.AuthorizationModel) (relation.Model, error) {
	if v := proto.GetSchemaVersion(); v != "1.1" {
		return relation.Model{}, fault.New(fault.Malformed, "model: schema %q is not supported by this version: want a model with schema 1.1, in one file", v)
	}
	for _, name := range slices.Sorted(maps.Keys(proto.GetConditions())) {
		line, column := p.find(0, `condition\s+(`+regexp.QuoteMeta(name)+`)`)
		return relation.Model{}, fault.New(fault.Malformed, "model: line %d, column %d: condition %s: conditions are not supported by this version", line, column, name).
			WithHint("put the condition into a policy")
	}
	m := relation.Model{Types: map[string]map[string]relation.Rewrite{}}
	for _, def := range proto.GetTypeDefinitions() {
		typ := def.GetType()
		if _, twice := m.Types[typ]; twice {
			return relation.Model{}, p.at(typ, "", "type %s is defined twice", typ)
		}
		relations := make(map[string]relation.Rewrite, len(def.GetRelations()))
		for name, userset := range def.GetRelations() {
			allowed, err := p.allowed(typ, name, def.GetMetadata().GetRelations()[name].GetDirectlyRelatedUserTypes())
			if err != nil {
				return relation.Model{}, err
			}
			if relations[name], err = p.rewrite(typ, name, userset, allowed); err != nil {
				return relation.Model{}, err
			}
		}
		m.Types[typ] = relations
	}
	return m, nil
}

func (p parser) allowed(typ, name string, refs []*openfga.RelationReference) ([]relation.Allowed, error) {
	var out []relation.Allowed
	for _, ref := range refs {
		if ref.GetCondition() != "" {
			return nil, p.at(typ, name, "relation %s of type %s: conditions are not supported by this version", name, typ)
		}
		a := relation.Allowed{Type: ref.GetType(), Relation: ref.GetRelation(), Wildcard: ref.GetWildcard() != nil}
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

func (p parser) rewrite(typ, name string, u *openfga.Userset, allowed []relation.Allowed) (relation.Rewrite, error) {
	switch w := u.GetUserset().(type) {
	case *openfga.Userset_This:
		return relation.Rewrite{Direct: allowed}, nil
	case *openfga.Userset_ComputedUserset:
		return relation.Rewrite{Computed: w.ComputedUserset.GetRelation()}, nil
	case *openfga.Userset_TupleToUserset:
		return relation.Rewrite{From: &relation.From{
			Relation: w.TupleToUserset.GetComputedUserset().GetRelation(),
			Tupleset: w.TupleToUserset.GetTupleset().GetRelation(),
		}}, nil
	case *openfga.Userset_Union:
		var out relation.Rewrite
		for _, child := range w.Union.GetChild() {
			c, err := p.rewrite(typ, name, child, allowed)
			if err != nil {
				return relation.Rewrite{}, err
			}
			out.Union = append(out.Union, c)
		}
		return out, nil
	case *openfga.Userset_Intersection:
		return relation.Rewrite{}, p.at(typ, name, "relation %s of type %s: intersection (and) is not supported by this version", name, typ)
	case *openfga.Userset_Difference:
		return relation.Rewrite{}, p.at(typ, name, "relation %s of type %s: exclusion (but not) is not supported by this version", name, typ)
	}
	return relation.Rewrite{}, p.at(typ, name, "relation %s of type %s is computed in a way that is not supported by this version", name, typ)
}
