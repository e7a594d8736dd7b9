package policy

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/ambit-iam/ambit/internal/fault"
)

// Evaluate says what the policies of s say of r. It is a function of s and r
// alone (and of what r.Relation answers), and its lists are in order of id. An
// erring permit does not permit; an erring forbid forbids; a shadow policy is in
// Shadow only.
//
// Permits and forbids go to cedar-go in separate runs, because a single one stops
// naming the permits once a forbid matches.
func (s *Set) Evaluate(r Request) Result {
	if s.len() == 0 {
		return Result{}
	}
	candidates := s.candidates(&r)
	if r.ForbidsOnly {
		candidates = slices.DeleteFunc(candidates, func(c *compiled) bool { return !c.forbid && !c.Shadow })
	}
	if len(candidates) == 0 {
		return Result{}
	}
	if r.Fill != nil {
		r.Fill(&r)
	}
	e := evaluation{set: s, request: &r}
	e.load(candidates)
	for _, c := range candidates {
		switch message := e.broken(c); {
		case message != "":
			e.errs = append(e.errs, cedar.DiagnosticError{PolicyID: cedar.PolicyID(c.ID), Message: message})
		case r.Unknown && c.dependsOnUnknown(&r):
			e.maybe(c)
		case c.forbid:
			e.forbids = append(e.forbids, c)
		default:
			e.permits = append(e.permits, c)
		}
	}
	e.run(e.permits)
	e.run(e.forbids)
	return e.sorted()
}

// An evaluation is the state of one Evaluate.
type evaluation struct {
	set              *Set
	request          *Request
	cedar            cedar.Request
	entities         entities
	values           error            // attributes or context that Cedar cannot hold
	relationErrs     map[string]error // by name
	argErrs          map[string]error // by argument
	permits, forbids []*compiled      // to be asked
	matched          []*compiled
	errs             []cedar.DiagnosticError
	result           Result
}

// load asks the relations and converts the values that candidates read, and no
// others.
func (e *evaluation) load(candidates []*compiled) {
	r := e.request
	e.cedar = cedar.Request{Principal: r.Principal.Entity.uid(), Action: r.Action.uid(), Resource: r.Resource.uid()}
	e.entities, e.values = entitiesOf(r)
	context := cedar.RecordMap{}
	relations, args := false, false
	for _, c := range candidates {
		relations = relations || len(c.reads.relations) > 0
		args = args || c.reads.hasArgs() && !r.Unknown
		for _, name := range c.reads.context {
			e.attribute(context, name)
		}
	}
	if relations {
		context["relations"] = e.relations(candidates)
	}
	if args {
		context["args"] = e.args(candidates)
	}
	e.cedar.Context = cedar.NewRecord(context)
}

// attribute puts one attribute of the context, once.
func (e *evaluation) attribute(context cedar.RecordMap, name string) {
	v, ok := e.request.Context[name]
	if _, done := context[cedar.String(name)]; done || !ok {
		return
	}
	value, err := valueOf(v)
	if err != nil {
		e.values = fmt.Errorf("context.%s: %w", name, err)
		return
	}
	context[cedar.String(name)] = value
}

// relations asks every name that candidates mention and returns those that hold.
func (e *evaluation) relations(candidates []*compiled) cedar.Value {
	e.result.Relations = map[string]bool{}
	e.relationErrs = map[string]error{}
	if e.request.resourceUnknown() {
		return cedar.NewSet()
	}
	var hold []cedar.Value
	for _, c := range candidates {
		for _, name := range c.reads.relations {
			if _, asked := e.result.Relations[name]; asked || e.relationErrs[name] != nil {
				continue
			}
			holds, err := e.ask(name)
			if err != nil {
				e.relationErrs[name] = err
				continue
			}
			if e.result.Relations[name] = holds; holds {
				hold = append(hold, cedar.String(name))
			}
		}
	}
	return cedar.NewSet(hold...)
}

func (e *evaluation) ask(name string) (bool, error) {
	switch {
	case e.request.Resource == Entity{}:
		return false, nil
	case e.request.Relation == nil:
		return false, fault.New(fault.Unavailable, "no relations are at hand")
	}
	return e.request.Relation(name)
}

// args returns the arguments that candidates read. Those that no policy reads
// need not fit Cedar.
func (e *evaluation) args(candidates []*compiled) cedar.Value {
	record := make(cedar.RecordMap, len(e.request.Args))
	e.argErrs = map[string]error{}
	for name, raw := range e.request.Args {
		if !slices.ContainsFunc(candidates, func(c *compiled) bool { return c.reads.arg(name) }) {
			continue
		}
		switch value, err := argument(raw); {
		case err != nil:
			e.argErrs[name] = err
		case value != nil:
			record[cedar.String(name)] = value
		}
	}
	return cedar.NewRecord(record)
}

// broken returns why c cannot be asked, "" when it can.
func (e *evaluation) broken(c *compiled) string {
	if e.values != nil {
		return e.values.Error()
	}
	for _, name := range c.reads.relations {
		if err := e.relationErrs[name]; err != nil {
			message, _ := fault.Safe(err)
			return fmt.Sprintf("relation %s: %s", name, message)
		}
	}
	if len(e.argErrs) == 0 {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(e.argErrs)) {
		if c.reads.arg(name) {
			return fmt.Sprintf("context.args.%s: %v", name, e.argErrs[name])
		}
	}
	return ""
}

// dependsOnUnknown reports whether what c says may change with the arguments, or
// with the resource where that is not known either.
func (c *compiled) dependsOnUnknown(r *Request) bool {
	if c.reads.hasArgs() {
		return true
	}
	if !r.resourceUnknown() {
		return false
	}
	scoped := c.scope.resource.match == equal || c.scope.resource.match == within || c.scope.resource.match == is && r.Resource.Type == ""
	return scoped || c.reads.resource || len(c.reads.relations) > 0
}

func (e *evaluation) maybe(c *compiled) {
	switch {
	case c.Shadow:
	case c.forbid:
		e.result.MaybeForbid = true
	default:
		e.result.MaybePermit = true
	}
}

// list hands policies to cedar-go, in order.
type list []*compiled

// All implements cedar.PolicyIterator.
func (l list) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, c := range l {
			if !yield(cedar.PolicyID(c.ID), c.cedar) {
				return
			}
		}
	}
}

// run asks policies that all have one effect.
func (e *evaluation) run(policies []*compiled) {
	if len(policies) == 0 {
		return
	}
	_, said := cedar.Authorize(list(policies), e.entities, e.cedar)
	for _, reason := range said.Reasons {
		e.matched = append(e.matched, e.set.byID[reason.PolicyID])
	}
	e.errs = append(e.errs, said.Errors...)
}

// sorted returns the result, every list in order of id.
func (e *evaluation) sorted() Result {
	r := e.result
	for _, c := range e.matched {
		hit := c.hit("")
		switch {
		case c.Shadow:
			r.Shadow = append(r.Shadow, hit)
		case c.forbid:
			r.Forbids = append(r.Forbids, hit)
		case c.marks.requestable:
			r.Requestable = append(r.Requestable, hit)
		default:
			r.Permits = append(r.Permits, hit)
		}
	}
	for _, err := range e.errs {
		c := e.set.byID[err.PolicyID]
		hit := c.hit(err.Message)
		if c.Shadow {
			r.Shadow = append(r.Shadow, hit)
			continue
		}
		r.Errors = append(r.Errors, hit)
		if c.forbid {
			r.Forbids = append(r.Forbids, hit)
		}
	}
	for _, hits := range [][]Hit{r.Permits, r.Forbids, r.Errors, r.Requestable, r.Shadow} {
		slices.SortFunc(hits, func(a, b Hit) int { return strings.Compare(string(a.ID), string(b.ID)) })
	}
	return r
}

func (c *compiled) hit(message string) Hit {
	return Hit{ID: c.ID, Handle: c.Handle, Forbid: c.forbid, Approval: c.marks.approval, Error: message}
}

// entities are the few that a request knows; cedar-go asks for them by uid.
type entities []cedar.Entity

// Get implements cedar.EntityGetter.
func (e entities) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	for i := range e {
		if e[i].UID == uid {
			return e[i], true
		}
	}
	return cedar.Entity{}, false
}

// entitiesOf returns the principal, the action, the resource and the others. One
// that plays two parts (a person who asks about themselves) is one entity with
// the parents and attributes of both.
func entitiesOf(r *Request) (entities, error) {
	parts := make([]Principal, 0, 3+len(r.Others))
	parts = append(parts, r.Principal, Principal{Entity: r.Action, Parents: r.ActionParents}, Principal{Entity: r.Resource, Attributes: r.Attributes})
	parts = append(parts, r.Others...)
	out := make(entities, 0, len(parts))
	for i, p := range parts {
		if slices.ContainsFunc(parts[:i], func(q Principal) bool { return q.Entity == p.Entity }) {
			continue
		}
		for _, q := range parts[i+1:] {
			if q.Entity == p.Entity {
				p = merge(p, q)
			}
		}
		attributes, err := recordOf(p.Attributes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Entity, err)
		}
		parents := make([]cedar.EntityUID, len(p.Parents))
		for j, parent := range p.Parents {
			parents[j] = parent.uid()
		}
		out = append(out, cedar.Entity{UID: p.Entity.uid(), Parents: cedar.NewEntityUIDSet(parents...), Attributes: attributes})
	}
	return out, nil
}

// merge returns p with q's parents, and q's attributes where p has none.
func merge(p, q Principal) Principal {
	p.Parents = append(slices.Clone(p.Parents), q.Parents...)
	attributes := make(map[string]any, len(p.Attributes)+len(q.Attributes))
	maps.Copy(attributes, q.Attributes)
	maps.Copy(attributes, p.Attributes)
	p.Attributes = attributes
	return p
}
