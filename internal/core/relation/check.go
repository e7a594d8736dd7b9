package relation

import (
	"errors"
	"slices"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
)

// The bounds of one Check.
const (
	// MaxDepth is how many tuples a witness may have.
	MaxDepth = 32
	// MaxSteps is how many tuples and relations one search may look at.
	MaxSteps = 10_000
)

// ErrTruncated is the cause of a Check that reached a bound before it had an
// answer. It is never a "no": a policy that needed it is in error.
var ErrTruncated = errors.New("relation search truncated")

// A Result says whether a relation holds and, when it does, by which tuples:
// each leads from an object to the next, the last to the subject. The witness is
// one of the shortest and the same for the same graph. It is empty where a
// userset is asked about itself.
type Result struct {
	Holds   bool
	Witness []Tuple
}

// Check reports whether subject ("type:id", "type:id#relation" or "type:*") has a
// relation to an object ("type:id") in g. What the model does not define does not
// hold. The error is ErrTruncated under kind Exhausted when MaxDepth or MaxSteps
// cut the search short without a witness, and Malformed for a subject that is
// none.
//
// Every operator of a model is a union, so a relation holds exactly if the
// subject can be reached. Check walks breadth first, each relation of an object
// once: cycles end by themselves.
func (g Graph) Check(object, relation, subject string) (Result, error) {
	s := search{g: g, subject: parseSubject(subject), spelt: subject}
	if s.subject.typ == "" {
		return Result{}, fault.New(fault.Malformed, "subject %.300q is not type:id", subject)
	}
	if !s.subject.wildcard && s.subject.relation == "" {
		s.everybody = s.subject.typ + ":*"
	}
	s.nodes = make([]node, 0, few/2)
	s.visit(object, relation, -1, Tuple{})
	for i := 0; i < len(s.nodes) && s.steps <= MaxSteps; i++ {
		if last, ok := s.expand(i); ok {
			return Result{Holds: true, Witness: s.path(i, last)}, nil
		}
	}
	if s.truncated || s.steps > MaxSteps {
		return Result{}, fault.Wrap(fault.Exhausted, ErrTruncated, "whether %.300s is %s of %.300s is not known: the search was truncated at %d steps or %d tuples deep",
			subject, relation, object, MaxSteps, MaxDepth).WithHint("flatten the groups or parents that lead there")
	}
	return Result{}, nil
}

// A search is the state of one Check.
type search struct {
	g         Graph
	subject   subject
	spelt     string // the subject as it was asked for
	everybody string // "type:*" where it covers the subject
	nodes     []node // visited, in order: the queue and the paths in one
	seen      map[[2]string]bool
	steps     int
	truncated bool
}

// A node is a relation of an object that the search reached.
type node struct {
	object, relation string
	parent           int   // index of the node it was reached from, -1 at the start
	via              Tuple // the tuple that led here
	depth            int   // tuples from the start
}

// few is up to how many nodes a scan is cheaper than a map.
const few = 16

// visit queues a relation of an object unless it is undefined, was seen, or lies
// too deep.
func (s *search) visit(object, relation string, parent int, via Tuple) {
	if s.g.rules[typeOf(object)][relation] == nil || s.wasSeen(object, relation) {
		return
	}
	depth := 0
	if parent >= 0 {
		depth = s.nodes[parent].depth + 1
	}
	if depth >= MaxDepth {
		s.truncated = true
		return
	}
	s.nodes = append(s.nodes, node{object, relation, parent, via, depth})
	if s.seen != nil {
		s.seen[[2]string{object, relation}] = true
	}
}

func (s *search) wasSeen(object, relation string) bool {
	if s.seen == nil && len(s.nodes) < few {
		return slices.ContainsFunc(s.nodes, func(n node) bool { return n.object == object && n.relation == relation })
	}
	if s.seen == nil {
		s.seen = make(map[[2]string]bool, 4*few)
		for _, n := range s.nodes {
			s.seen[[2]string{n.object, n.relation}] = true
		}
	}
	return s.seen[[2]string{object, relation}]
}

// expand looks at the tuples of node i. It returns the tuple that names the
// subject, the zero Tuple where the node is the subject itself, or queues what
// its tuples lead to.
func (s *search) expand(i int) (Tuple, bool) {
	n := s.nodes[i]
	r := s.g.rules[typeOf(n.object)][n.relation]
	if s.subject.relation != "" && s.subject.object == n.object && slices.Contains(r.same, s.subject.relation) {
		return Tuple{}, true
	}
	o := s.g.index.get(n.object)
	for _, d := range r.direct {
		s.steps++
		subjects := o.of(d.relation)
		if len(subjects) == 0 {
			continue
		}
		if d.allows(s.subject) && subjects.has(s.spelt) {
			return Tuple{n.object, d.relation, s.spelt}, true
		}
		if s.everybody != "" && d.allows(subject{typ: s.subject.typ, wildcard: true}) && subjects.has(s.everybody) {
			return Tuple{n.object, d.relation, s.everybody}, true
		}
		s.usersets(i, d, subjects)
	}
	for _, f := range r.from {
		s.steps++
		subjects := o.of(f.tupleset)
		for _, typ := range f.types {
			for to := range subjects.prefixed(typ + ":") {
				if s.steps++; s.steps > MaxSteps {
					return Tuple{}, false
				}
				if !strings.Contains(to, "#") && to != typ+":*" {
					s.visit(to, f.relation, i, Tuple{n.object, f.tupleset, to})
				}
			}
		}
	}
	return Tuple{}, false
}

// usersets queues the usersets among subjects that d allows.
func (s *search) usersets(i int, d assigned, subjects set) {
	for _, a := range d.allowed {
		if a.Relation == "" {
			continue
		}
		for to := range subjects.prefixed(a.Type + ":") {
			if s.steps++; s.steps > MaxSteps {
				return
			}
			if object, relation, _ := strings.Cut(to, "#"); relation == a.Relation {
				s.visit(object, relation, i, Tuple{s.nodes[i].object, d.relation, to})
			}
		}
	}
}

// path returns the tuples from the start to node i, and last.
func (s *search) path(i int, last Tuple) []Tuple {
	out := make([]Tuple, 0, s.nodes[i].depth+1)
	if last != (Tuple{}) {
		out = append(out, last)
	}
	for ; s.nodes[i].parent >= 0; i = s.nodes[i].parent {
		out = append(out, s.nodes[i].via)
	}
	slices.Reverse(out)
	return out
}
