package mcp

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A reader is a client's end of a connection: it keeps the deadline.
type reader struct {
	*httptest.ResponseRecorder
	deadline time.Time
	waits    bool // some byte was written without one
}

func (r *reader) SetWriteDeadline(t time.Time) error {
	r.deadline = t
	return nil
}

func (r *reader) Write(b []byte) (int, error) {
	r.waits = r.waits || r.deadline.IsZero()
	return r.ResponseRecorder.Write(b)
}

// An agent that asks and never reads must not keep the answer, the goroutine and
// the outcome's record waiting.
func TestAttackAnswerLeftUnread(t *testing.T) {
	for _, began := range []bool{false, true} {
		r := &reader{ResponseRecorder: httptest.NewRecorder()}
		x := &exchange{w: r, began: began}
		x.write(http.StatusOK, []byte(`{}`))
		if r.waits || r.Body.Len() == 0 {
			t.Errorf("began %v: an answer is written without a deadline", began)
		}
	}
}

// Anybody may announce a long message, with no token that is worth anything, and
// send none of it.
func TestAttackAnnouncedBody(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 64
	for range n {
		r := httptest.NewRequest(http.MethodPost, "/mcp/records", strings.NewReader(""))
		r.ContentLength = maxBody
		if _, err := readBody(r); err == nil {
			t.Fatal("a message that did not come was read")
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / n; each > maxBody/8 {
		t.Errorf("%d bytes are set aside for a message that never comes", each)
	}
	if b, err := readBody(httptest.NewRequest(http.MethodPost, "/mcp/records", strings.NewReader(strings.Repeat("x", 5*usualBody)))); err != nil || len(b) != 5*usualBody {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
