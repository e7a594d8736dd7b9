package organisation

import (
	"fmt"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// A TestResult is what became of one test of a document.
type TestResult struct {
	Test     int    `json:"test"` // its index
	Question string `json:"question"`
	Passed   bool   `json:"passed"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	Why      string `json:"why,omitempty"`
}

// String renders r with its place in the document.
func (r TestResult) String() string {
	if r.Passed {
		return fmt.Sprintf("tests[%d]: %s: %s", r.Test, r.Question, r.Got)
	}
	s := fmt.Sprintf("tests[%d]: %s: expected %s, got %s", r.Test, r.Question, r.Expected, r.Got)
	if r.Why != "" {
		s += ": " + r.Why
	}
	return s
}

// RunTests asks every test of d on s, the snapshot as it would be with d's plan
// applied. It charges nothing and writes nothing.
func RunTests(s *decision.Snapshot, d Document, now time.Time) []TestResult {
	var out []TestResult
	for i, t := range d.Tests {
		r := TestResult{Test: i, Question: t.question(), Expected: expected(t.Expect, t.Link, t.Stage)}
		r.Got, r.Why, r.Passed = t.run(s, now)
		out = append(out, r)
	}
	return out
}

// question renders what a test asks.
func (t Test) question() string {
	s := strings.Join(t.Can, " ") + " for " + t.For
	for _, k := range sortedKeys(t.Context) {
		s += " in " + k + " " + t.Context[k]
	}
	return s
}

func expected(outcome, link, stage string) string {
	for _, part := range []struct{ word, v string }{{"at ", link}, {"by ", stage}} {
		if part.v != "" {
			outcome += " " + part.word + part.v
		}
	}
	return outcome
}

// run returns what was decided in the words of expected, why, and whether that
// is what the test wants.
func (t Test) run(s *decision.Snapshot, now time.Time) (got, why string, passed bool) {
	v, unknown, err := t.ask(s, now)
	if err != nil {
		return "an error", safe(err), false
	}
	outcome := v.Outcome().String()
	if v.Allowed() {
		if unknown {
			// What is decided without the arguments says only what is certainly
			// refused; a test that is content with that would prove nothing.
			return "no answer", "it depends on the arguments; give the test args", false
		}
		return outcome, "", t.Expect == outcome
	}
	f, _ := v.Binding()
	link, noun := s.Directory.Label(f.Principal), "agent"
	if f.Principal.Is(principal.User) {
		noun = "user"
	}
	link = noun + ":" + link
	passed = t.Expect == outcome && (t.Link == "" || t.Link == link) && (t.Stage == "" || t.Stage == string(f.Stage))
	return expected(outcome, link, string(f.Stage)), f.Reason, passed
}

func (t Test) ask(s *decision.Snapshot, now time.Time) (v decision.Verdict, unknown bool, err error) {
	resolve := func(typed, noun string) (principal.UID, error) {
		id, ok := s.Directory.Resolve(noun, strings.TrimPrefix(typed, noun+":"))
		if !ok {
			return "", fault.New(fault.NotFound, "there is no %s", typed)
		}
		return id, nil
	}
	agent, err := resolve(t.Can[0], "agent")
	if err != nil {
		return v, false, err
	}
	origin, err := resolve(t.For, "user")
	if err != nil {
		return v, false, err
	}
	subject, err := Hypothetical(s, origin, agent, t.Context, now)
	if err != nil {
		return v, false, err
	}
	action, err := t.action(s)
	if err != nil {
		return v, false, err
	}
	return decision.Decide(s, decision.Request{Subject: subject, Action: action, At: now}), action.Unknown, nil
}

func (t Test) action(s *decision.Snapshot) (mapping.Action, error) {
	handle, tool, _ := strings.Cut(t.Can[1], ".")
	server, ok := s.Catalogue.ServerByHandle(handle)
	if !ok {
		return mapping.Action{}, fault.New(fault.NotFound, "there is no server %s", handle)
	}
	resource := ""
	if len(t.Can) == 3 {
		resource = t.Can[2]
	}
	return Action(s, server.ID, tool, resource, t.Args)
}
