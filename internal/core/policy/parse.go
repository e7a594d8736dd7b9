package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/ambit-iam/ambit/internal/fault"
)

// The bounds of policy text. cedar-go recurses by bracket, "if" and sign when it
// parses, by every operator of a chain when it compiles, and takes quadratic time
// in the depth for the JSON form, so all are bounded before it sees the text.
const (
	maxText      = 1 << 20
	maxPolicy    = 64 << 10
	maxNesting   = 64
	maxOperators = 1000
	maxHandle    = 128
)

// builtinPrefix begins the handles of builtin policies and of nothing else.
const builtinPrefix = "ambit:"

// Parse splits a file of Cedar policies, in their order, into Policies without
// ids. The handle is the annotation @id, or name and the policy's place in the
// file ("access.cedar#2"). Source is the canonical text of the one policy, so
// layout and comments are no change. Faults are Malformed (TooLarge above 1 MiB)
// and name the file, line and column.
func Parse(name, text string) ([]Policy, error) {
	list, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(list))
	out := make([]Policy, 0, len(list))
	for i, c := range list {
		at := fmt.Sprintf("%s: line %d, column %d", name, c.Position().Line, c.Position().Column)
		marks, err := marksOf(c)
		if err != nil {
			return nil, fault.New(fault.Malformed, "%s: %v", at, err)
		}
		handle := fmt.Sprintf("%s#%d", name, i+1)
		if id, ok := c.Annotations()["id"]; ok {
			handle = string(id)
		}
		switch {
		case handle == "" || len(handle) > maxHandle || strings.ContainsFunc(handle, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
			return nil, fault.New(fault.Malformed, "%s: @id %.60q is not a handle: want 1 to %d printable characters", at, handle, maxHandle)
		case strings.HasPrefix(handle, builtinPrefix):
			return nil, fault.New(fault.Malformed, "%s: @id %q: handles that begin %q are Ambit's own", at, handle, builtinPrefix)
		case seen[handle]:
			return nil, fault.New(fault.Malformed, "%s: @id %q is in the file twice", at, handle)
		}
		seen[handle] = true
		source, err := canonical(c)
		if err != nil {
			return nil, fault.Wrap(fault.Malformed, err, "%s: the policy cannot be written back as text", at)
		}
		out = append(out, Policy{Handle: handle, Source: source, Shadow: marks.shadow})
	}
	return out, nil
}

// parse reads all policies of a text.
func parse(name, text string) (cedar.PolicyList, error) {
	if len(text) > maxText {
		return nil, fault.New(fault.TooLarge, "%s: %d bytes of policies: the bound is %d", name, len(text), maxText)
	}
	if line, what := excess(text); what != "" {
		return nil, fault.New(fault.Malformed, "%s: line %d: %s", name, line, what)
	}
	list, err := cedar.NewPolicyListFromBytes(name, []byte(text))
	if err != nil {
		return nil, fault.New(fault.Malformed, "%s: %.500v", name, err)
	}
	return list, nil
}

// parseOne reads a text of exactly one policy. cedar.Policy's own UnmarshalCedar
// ignores whatever follows the first.
func parseOne(name, text string) (*cedar.Policy, error) {
	list, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fault.New(fault.Malformed, "%s: %d policies where exactly one is wanted", name, len(list))
	}
	return list[0], nil
}

// excess reports the line at which a policy passes a bound, and which. Brackets
// open a level, "if" opens one up to the end of the bracket around it, and so does
// each of a run of '!' and '-'.
func excess(text string) (line int, what string) {
	var open []int // ifs seen in each open bracket
	depth, ifs, signs, operators, start := 0, 0, 0, 0, 0
	line = 1
	for i, n := 0, 0; i < len(text); i += n {
		c := text[i]
		n = token(text[i:])
		line += strings.Count(text[i:i+n], "\n")
		switch {
		case c <= ' ' || n > 1 && c == '/':
			start += n // spaces and comments are free
			continue
		case c == '(' || c == '[' || c == '{':
			open = append(open, ifs)
			depth, ifs = depth+1, 0
		case c == ')' || c == ']' || c == '}':
			if last := len(open) - 1; last >= 0 {
				depth, ifs, open = depth-1-ifs, open[last], open[:last]
			}
		case c == ';':
			depth, ifs, operators, open, start = 0, 0, 0, open[:0], i
		case text[i:i+n] == "if":
			depth, ifs = depth+1, ifs+1
		}
		if strings.IndexByte(".[&|=<>+-*", c) >= 0 {
			operators++
		}
		if signs++; c != '!' && c != '-' {
			signs = 0
		}
		switch {
		case depth+signs > maxNesting:
			return line, fmt.Sprintf("expressions nest deeper than %d", maxNesting)
		case operators > maxOperators:
			return line, fmt.Sprintf("the policy has more than %d operators", maxOperators)
		case i+n-start > maxPolicy:
			return line, fmt.Sprintf("the policy is longer than %d bytes", maxPolicy)
		}
	}
	return 0, ""
}

// token returns the length of the string, comment, word or single byte that text
// begins with, as cedar-go's scanner reads it (block comments too). A string or
// comment that never ends reaches to the end: the scanner refuses it.
func token(text string) int {
	upTo := func(from int, end string) int {
		if i := strings.Index(text[from:], end); i >= 0 {
			return from + i + len(end)
		}
		return len(text)
	}
	switch {
	case strings.HasPrefix(text, "//"):
		return upTo(2, "\n")
	case strings.HasPrefix(text, "/*"):
		return upTo(2, "*/")
	case text[0] == '"':
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(text)
	}
	n := 0
	for n < len(text) && isWord(text[n]) {
		n++
	}
	return max(n, 1)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// marks are the annotations that mean something to Ambit.
type marks struct{ shadow, approval, requestable bool }

func marksOf(c *cedar.Policy) (marks, error) {
	var m marks
	annotations := c.Annotations()
	switch value, ok := annotations["shadow"]; {
	case ok && (value == "" || value == "true"):
		m.shadow = true
	case ok && value != "false":
		return marks{}, fmt.Errorf("@shadow(%q): want @shadow, or \"true\" or \"false\"", string(value))
	}
	_, m.approval = annotations["approval"]
	_, m.requestable = annotations["requestable"]
	if m.approval && c.Effect() != cedar.Forbid {
		return marks{}, fmt.Errorf("@approval is for a forbid: what an approval makes a permit of is @requestable")
	}
	if m.requestable && c.Effect() != cedar.Permit {
		return marks{}, fmt.Errorf("@requestable is for a permit: a forbid that an approval lifts is @approval")
	}
	return m, nil
}

// canonical returns the canonical text of a policy, having made sure that the text
// means the same policy.
func canonical(c *cedar.Policy) (string, error) {
	text := string(c.MarshalCedar())
	again, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil {
		return "", err
	}
	if len(again) != 1 || !same((*ast.Policy)(c.AST()), (*ast.Policy)(again[0].AST())) {
		return "", fmt.Errorf("its text reads as another policy")
	}
	return text, nil
}

// same reports whether two policies differ in nothing but their position.
func same(a, b *ast.Policy) bool {
	return a.Effect == b.Effect && slices.Equal(a.Annotations, b.Annotations) &&
		reflect.DeepEqual(a.Principal, b.Principal) && reflect.DeepEqual(a.Action, b.Action) && reflect.DeepEqual(a.Resource, b.Resource) &&
		slices.EqualFunc(a.Conditions, b.Conditions, func(a, b ast.ConditionType) bool {
			return a.Condition == b.Condition && ast.Equal(ast.NewNode(a.Body), ast.NewNode(b.Body))
		})
}
