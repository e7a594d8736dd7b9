package mapping

import (
	"encoding/json"
	"testing"

	"github.com/ambit-iam/ambit/internal/fault"
)

// A server that reads names without regard to case, as encoding/json does, takes
// "Patient" for "patient". An authority with an optional patient and any other
// argument, and a forbid of a patient, would both have looked past it.
func TestAttackArgumentInAnotherCase(t *testing.T) {
	c := Catalogue{}.WithServer(Server{ID: "srv_1", Handle: "records"}).WithTool(Tool{ID: "tol_1", Server: "srv_1", Name: "find",
		Definition: json.RawMessage(`{"name":"find","inputSchema":{"type":"object","properties":{"patient":{},"Kind":{},"a":{},"A":{}}}}`)})
	for args, ok := range map[string]bool{
		`{"patient":"P1","Kind":1,"other":2}`: true,
		`{"a":1,"A":2}`:                       true,
		`{"Patient":"P1"}`:                    false,
		`{"kind":1}`:                          false,
		"{\"\u212aind\":1}":                   false, // the Kelvin sign
	} {
		if _, err := Resolve(c, "srv_1", "find", json.RawMessage(args)); (err == nil) != ok || !ok && fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", args, err)
		}
	}
}
