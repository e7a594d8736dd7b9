package policy

import (
	"reflect"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"

	"github.com/ambit-iam/ambit/internal/fault"
)

// Resolve returns the one policy of source with the id of every reference to
// something Ambit owns replaced by what f returns for it: User, Agent, Workload,
// Group, Blueprint, and Action, whose ids people write "server.tool". f sees each
// reference as it stands and returns the id unchanged where there is nothing to
// resolve ("mission.create", "effect.read"); its error refuses the policy. Other
// types (patient) are not Ambit's and stay. The result is canonical Cedar text,
// the same for the same policy, and is read back before it is returned.
func Resolve(source string, f func(typ, id string) (string, error)) (string, error) {
	c, err := parseOne("policy", source)
	if err != nil {
		return "", err
	}
	r := resolver{f: f}
	tree := r.rewrite(reflect.ValueOf(*c.AST())).Interface().(cedarast.Policy)
	if r.err != nil {
		return "", r.err
	}
	text, err := canonical(cedar.NewPolicyFromAST(&tree))
	if err != nil {
		return "", fault.Wrap(fault.Malformed, err, "policy: it cannot be written with ids resolved")
	}
	return text, nil
}

// ambitType reports whether the ids of an entity type are uids, or made of them.
func ambitType(typ string) bool {
	switch typ {
	case "User", "Agent", "Workload", "Group", "Blueprint", "Action":
		return true
	}
	return false
}

// A resolver copies a syntax tree with every entity in it resolved. It walks by
// reflection: an entity may stand in a scope, a set, a record, an operand, and a
// walk by kind of node would miss the kind that it does not know. (Cedar's JSON
// form would do as well, but loses the order of a record's attributes, and with
// it "nothing changed".)
type resolver struct {
	f   func(typ, id string) (string, error)
	err error
}

func (r *resolver) rewrite(v reflect.Value) reflect.Value {
	if e, ok := v.Interface().(cedar.EntityUID); ok {
		return reflect.ValueOf(r.entity(e)).Convert(v.Type())
	}
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(r.rewrite(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		for i := range v.Len() {
			out.Index(i).Set(r.rewrite(v.Index(i)))
		}
	case reflect.Struct:
		// Fields that are not exported belong to values (decimals, patterns, sets
		// of constants), none of which a parser makes of entities.
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(r.rewrite(v.Field(i)))
			}
		}
	}
	return out
}

func (r *resolver) entity(e cedar.EntityUID) cedar.EntityUID {
	if r.err != nil || !ambitType(string(e.Type)) {
		return e
	}
	id, err := r.f(string(e.Type), string(e.ID))
	if err != nil {
		message, _ := fault.Safe(err)
		r.err = fault.Wrap(fault.Malformed, err, "policy: %s::%q: %s", e.Type, e.ID, message)
		return e
	}
	return cedar.NewEntityUID(e.Type, cedar.String(id))
}
