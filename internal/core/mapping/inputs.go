package mapping

import (
	"encoding/json"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
)

// inputs are the arguments that a tool's definition names, exactly (true) and as
// readers without regard to case have them (false). Many a server is such a
// reader: to it "Patient" is the "patient" that authorities and policies, which
// are exact, do not see in the call.
type inputs map[string]bool

// inputsOf reads the properties of a definition's inputSchema. A definition that
// has none names nothing.
func inputsOf(definition json.RawMessage) inputs {
	var d, schema, properties map[string]json.RawMessage
	if json.Unmarshal(definition, &d) != nil || json.Unmarshal(d["inputSchema"], &schema) != nil ||
		json.Unmarshal(schema["properties"], &properties) != nil {
		return nil
	}
	in := make(inputs, 2*len(properties))
	for name := range properties {
		in[folded(name)] = false
	}
	for name := range properties {
		in[name] = true
	}
	return in
}

// refuse is the error of a call with an argument that only a reader without regard
// to case takes for one that the tool has.
func (in inputs) refuse(args map[string]json.RawMessage) error {
	first := "" // by name: the same one is named every time
	for name := range args {
		if in[name] || len(in) == 0 {
			continue
		}
		if _, alike := in[folded(name)]; alike && (first == "" || name < first) {
			first = name
		}
	}
	if first == "" {
		return nil
	}
	return fault.New(fault.Malformed, "argument %q is like one of the tool's but for upper and lower case", clip(first))
}

// folded maps names that strings.EqualFold takes for equal to one: upper, then
// lower, so that the Kelvin sign is a k.
func folded(name string) string { return strings.ToLower(strings.ToUpper(name)) }
