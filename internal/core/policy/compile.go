package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/ambit-iam/ambit/internal/fault"
)

// A Set is compiled policies with the index that finds a request's candidates.
// It is immutable and safe for concurrent use. The nil Set has no policies: it
// permits nothing.
type Set struct {
	all    []compiled // by id
	byID   map[cedar.PolicyID]*compiled
	index  index
	digest string
}

// compiled is one policy, ready to be asked.
type compiled struct {
	Policy
	cedar  *cedar.Policy
	forbid bool
	marks  marks
	reads  reads
	scope  scope
}

// Compile returns the set of policies, in any order. It refuses, with the handle
// and the reason, a policy without id, an id used twice, a Source that is not
// exactly one Cedar policy, an annotation that makes no sense, and a use of
// context whose relations cannot be told beforehand. Faults are Malformed.
func Compile(policies []Policy) (*Set, error) {
	s := &Set{all: make([]compiled, 0, len(policies)), byID: make(map[cedar.PolicyID]*compiled, len(policies))}
	for _, p := range policies {
		c, err := compile(p)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, c)
	}
	slices.SortFunc(s.all, func(a, b compiled) int { return strings.Compare(string(a.ID), string(b.ID)) })
	s.index = index{}
	for i := range s.all {
		c := &s.all[i]
		if _, twice := s.byID[cedar.PolicyID(c.ID)]; twice {
			return nil, fault.New(fault.Malformed, "policy %s: its id %s is used twice", c.Handle, c.ID)
		}
		s.byID[cedar.PolicyID(c.ID)] = c
		s.index.add(c.scope, i)
	}
	var err error
	s.digest, err = digest(s)
	return s, err
}

func compile(p Policy) (compiled, error) {
	if p.ID == "" {
		return compiled{}, fault.New(fault.Malformed, "policy %s: it has no id", p.Handle)
	}
	c := compiled{Policy: p}
	parsed, err := parseOne("policy "+p.Handle, p.Source)
	if err != nil {
		return compiled{}, err
	}
	c.cedar, c.forbid = parsed, parsed.Effect() == cedar.Forbid
	if c.marks, err = marksOf(parsed); err != nil {
		return compiled{}, fault.New(fault.Malformed, "policy %s: %v", p.Handle, err)
	}
	c.Shadow = c.Shadow || c.marks.shadow
	tree := (*ast.Policy)(parsed.AST())
	if c.reads, err = readsOf(tree); err != nil {
		return compiled{}, fault.New(fault.Malformed, "policy %s: %v", p.Handle, err)
	}
	c.scope = scopeOf(tree)
	return c, nil
}

// All ranges over the policies, by id.
func (s *Set) All() iter.Seq[Policy] {
	return func(yield func(Policy) bool) {
		for i := range s.len() {
			if !yield(s.all[i].Policy) {
				return
			}
		}
	}
}

func (s *Set) len() int {
	if s == nil {
		return 0
	}
	return len(s.all)
}

// Digest returns the base64url SHA-256 of the policies' JSON in order of id: the
// policy hash that decision entries pin. Two sets of equal policies have equal
// digests; the nil Set's is that of no policies.
func (s *Set) Digest() string {
	if s == nil {
		s = &Set{}
		s.digest, _ = digest(s)
	}
	return s.digest
}

func digest(s *Set) (string, error) {
	list := make([]Policy, 0, s.len())
	list = slices.AppendSeq(list, s.All())
	b, err := json.Marshal(list)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "policies: JSON")
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Relations returns the relation names that the policies mention, each with the
// handles of the policies that do, sorted. A name that the relation model does not
// define is surely misspelt, and a forbid that mentions it would never match: an
// apply refuses it.
func (s *Set) Relations() map[string][]string {
	out := map[string][]string{}
	for i := range s.len() {
		for _, name := range s.all[i].reads.relations {
			out[name] = append(out[name], s.all[i].Handle)
		}
	}
	for name := range maps.Keys(out) {
		slices.Sort(out[name])
	}
	return out
}
