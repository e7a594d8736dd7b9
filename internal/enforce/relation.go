package enforce

import (
	"strings"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
)

// WriteRelations writes and deletes relationship tuples. Principals may be named
// by handle: user:clinician.
type WriteRelations struct{ Write, Delete []relation.Tuple }

func (m WriteRelations) about(snap *decision.Snapshot) (target, error) {
	if len(m.Write)+len(m.Delete) == 0 {
		return target{}, fault.New(fault.Malformed, "no tuple to write or delete")
	}
	return organisationTarget("relation.write", snap), nil
}

func (m WriteRelations) plan(at *moment) (plan, error) {
	p := plan{}
	seen := map[string]bool{}
	add := func(t relation.Tuple, write bool) error {
		label := t.String()
		t, err := resolveTuple(at.snap, t)
		if err != nil {
			return err
		}
		if seen[t.String()] {
			return fault.New(fault.Malformed, "%s is named twice", label)
		}
		seen[t.String()] = true
		if at.snap.Relations.Has(t) == write {
			return nil
		}
		r := ledger.Row{Kind: "tuple", Key: t.String()}
		verb := "removed"
		if write {
			if err := at.snap.Relations.Validate(t); err != nil {
				return err
			}
			r.Body, verb = encode(t), "written"
		}
		p.rows, p.lines = append(p.rows, r), append(p.lines, "relation "+label+" was "+verb)
		return nil
	}
	for _, t := range m.Write {
		if err := add(t, true); err != nil {
			return plan{}, err
		}
	}
	for _, t := range m.Delete {
		if err := add(t, false); err != nil {
			return plan{}, err
		}
	}
	return p, nil
}

// resolveTuple puts uids in place of handles of principals, and refuses the
// types that relations may not speak about.
func resolveTuple(snap *decision.Snapshot, t relation.Tuple) (relation.Tuple, error) {
	for _, end := range []*string{&t.Object, &t.Subject} {
		typ, rest, ok := strings.Cut(*end, ":")
		if !ok {
			return t, fault.New(fault.Malformed, "%q is not type:id", *end)
		}
		id, rel, userset := strings.Cut(rest, "#")
		if (typ == "user" || typ == "group" || typ == "workload") && id != "*" {
			uid, ok := snap.Directory.Resolve(typ, id)
			if !ok {
				return t, fault.New(fault.NotFound, "there is no %s %q", typ, id)
			}
			id = string(uid)
		}
		*end = typ + ":" + id
		if userset {
			*end += "#" + rel
		}
	}
	if typ, _, _ := strings.Cut(t.Object, ":"); relation.Reserved(typ) || typ == "group" {
		return t, fault.New(fault.Denied, "type %s is Ambit's own and is not written as a relation", typ)
	}
	return t, nil
}
