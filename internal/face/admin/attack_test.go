package admin_test

import (
	"net/http"
	"testing"

	"github.com/ambit-iam/ambit/internal/fault"
)

// Whoever may not apply has nothing parsed: a model's text costs a quarter of a
// second and a hundred megabytes.
func TestAttackDocumentOfNobody(t *testing.T) {
	s := &spine{err: fault.New(fault.Unauthenticated, "the access token does not verify")}
	w := call(face(t, s), "POST", "/api/v1/apply", `{"document":{"model":{"types":{},"source":"no model"}}}`)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
