package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
)

// strictJSON is JSON as this API reads and writes it.
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	},
	Unmarshal: read,
}

// read decodes b into v. It goes through proof.Canonical, so that a repeated
// member or a number that two parsers read differently is refused, and holds
// every member to its exact name: encoding/json, and huma's validation after it,
// would take "Delete" for "delete".
func read(b []byte, v any) error {
	if _, err := proof.Canonical(b); err != nil {
		return err
	}
	if err := exact(b, reflect.TypeOf(v)); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// decode reads a body whose schema huma does not know.
func decode(what string, b json.RawMessage, v any) error {
	if err := read(b, v); err != nil {
		message, hint := err.Error(), "" // encoding/json's and proof's name a place and a type
		if fault.KindOf(err) != fault.Internal {
			message, hint = fault.Safe(err)
		}
		return fault.Wrap(fault.Malformed, err, "%s: %s", what, message).WithHint("%s", hint)
	}
	return nil
}

// unmarshaler is what reads itself: its names are its own to check.
var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// exact checks that every member of b that decodes into a struct within t has the
// name of one of its fields.
func exact(b []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		each := map[string]json.RawMessage{}
		var list []json.RawMessage
		if json.Unmarshal(b, &each) != nil && json.Unmarshal(b, &list) != nil {
			return nil // of another type: decoding says so
		}
		for _, raw := range each {
			list = append(list, raw)
		}
		for _, raw := range list {
			if err := exact(raw, t.Elem()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(b, &members) != nil {
			return nil
		}
		fields := fieldsOf(t)
		for name, raw := range members {
			f, ok := fields[name]
			if !ok {
				return fmt.Errorf("there is no member %.40q here", name)
			}
			if err := exact(raw, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldsOf returns the types of t's JSON members by name.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || name == "-" || f.Anonymous && name == "":
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}
