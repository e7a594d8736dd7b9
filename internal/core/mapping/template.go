package mapping

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ambit-iam/ambit/internal/fault"
)

// maxResource bounds the id of a resource, in bytes. Longer ones are not names.
const maxResource = 4096

// maxAmount is the highest price of one call. It is far below the top of int64,
// so that no sum of a counter and a price wraps around and passes a limit.
const maxAmount = 1 << 53

var (
	typeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	integer  = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	digits   = regexp.MustCompile(`^(0|[1-9][0-9]{0,15})$`)
)

// A part of a template is literal text or the name of an argument.
type part struct{ literal, arg string }

// parts splits t after its type. The type is literal, so that no argument can
// choose it; two placeholders never touch, so that there is one way to read the
// arguments back.
func (t Template) parts() (typ string, ps []part, err error) {
	typ, rest, ok := strings.Cut(string(t), ":")
	if !ok || !typeName.MatchString(typ) {
		return "", nil, fmt.Errorf("%q does not name a resource: write type:id, as in document:{args.path}", t)
	}
	if rest == "" {
		return "", nil, fmt.Errorf("%q has no id after the colon", t)
	}
	for rest != "" {
		lit, after, open := strings.Cut(rest, "{")
		if strings.Contains(lit, "}") {
			return "", nil, fmt.Errorf("%q has a } that closes nothing", t)
		}
		if lit != "" {
			ps = append(ps, part{literal: lit})
		}
		if !open {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		arg, isArg := strings.CutPrefix(name, "args.")
		if !closed || !isArg || arg == "" || strings.Contains(arg, "{") {
			return "", nil, fmt.Errorf("%q: {%s} is not a placeholder: write {args.name}", t, name)
		}
		if len(ps) > 0 && ps[len(ps)-1].arg != "" {
			return "", nil, fmt.Errorf("%q: {%s} touches the placeholder before it; put text between them", t, name)
		}
		ps, rest = append(ps, part{arg: arg}), next
	}
	return typ, ps, nil
}

// Validate says what is wrong with t.
func (t Template) Validate() error {
	if t == "" {
		return nil
	}
	_, _, err := t.parts()
	return err
}

// Type returns the type of the resources that t names, "" for none.
func (t Template) Type() string {
	typ, _, _ := t.parts()
	return typ
}

// Render returns the resource of a call with these arguments. An argument that
// is absent, empty or not a scalar leaves the call without a meaning:
// fault.Malformed, which names it.
func (t Template) Render(args map[string]json.RawMessage) (string, error) {
	if t == "" {
		return "", nil
	}
	typ, ps, err := t.parts()
	if err != nil {
		return "", fault.New(fault.Malformed, "the tool's mapping is broken: %v", err)
	}
	b := strings.Builder{}
	b.WriteString(typ + ":")
	for i, p := range ps {
		if p.arg == "" {
			b.WriteString(p.literal)
			continue
		}
		v, err := scalar(args, p.arg)
		if err != nil {
			return "", err
		}
		// The text after a placeholder ends its value. A value that holds that
		// text could pose as two arguments, so the call is refused.
		if i+1 < len(ps) {
			if end := ps[i+1].literal; strings.Index(v+end, end) != len(v) {
				return "", fault.New(fault.Malformed, "argument %s holds %q, which ends it in the resource %s", p.arg, end, t)
			}
		}
		b.WriteString(v)
		if b.Len() > maxResource {
			return "", fault.New(fault.TooLarge, "argument %s makes the name of the resource longer than %d bytes", p.arg, maxResource)
		}
	}
	return b.String(), nil
}

// Read is the inverse of Render: it returns the arguments, all text, of a call
// on resource, and false when t never yields that resource.
func (t Template) Read(resource string) (map[string]json.RawMessage, bool) {
	typ, ps, err := t.parts()
	rest, ok := strings.CutPrefix(resource, typ+":")
	if t == "" || err != nil || !ok {
		return nil, false
	}
	args := map[string]json.RawMessage{}
	for i, p := range ps {
		if p.arg == "" {
			if rest, ok = strings.CutPrefix(rest, p.literal); !ok {
				return nil, false
			}
			continue
		}
		v := rest
		if i+1 < len(ps) {
			at := strings.Index(rest, ps[i+1].literal)
			if at < 0 {
				return nil, false
			}
			v = rest[:at]
		}
		raw, err := json.Marshal(v)
		if old, dup := args[p.arg]; v == "" || err != nil || dup && string(old) != string(raw) {
			return nil, false
		}
		args[p.arg], rest = raw, rest[len(v):]
	}
	return args, rest == ""
}

// scalar returns the text of an argument that names a resource: a string as it
// is, a whole number as it is written, true or false. A number written in any
// other way (1.0, 1e3) has several spellings, and so would the resource.
func scalar(args map[string]json.RawMessage, name string) (string, error) {
	raw, ok := args[name]
	if !ok {
		return "", fault.New(fault.Malformed, "argument %s is missing: it names the resource", name)
	}
	text := strings.TrimSpace(string(raw))
	switch {
	case text == "true" || text == "false" || integer.MatchString(text):
		return text, nil
	case strings.HasPrefix(text, `"`):
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", fault.New(fault.Malformed, "argument %s is not a JSON string", name)
		}
		if s == "" {
			return "", fault.New(fault.Malformed, "argument %s is empty: it names the resource", name)
		}
		return s, nil
	}
	return "", fault.New(fault.Malformed, "argument %s has to be text or a whole number: it names the resource", name)
}

// Validate says what is wrong with a.
func (a Amount) Validate() error {
	if name, ok := strings.CutPrefix(string(a), "args."); ok && name != "" || a == "" {
		return nil
	}
	if !digits.MatchString(string(a)) || a.price(nil) < 0 {
		return fmt.Errorf("%q is not an amount: write a whole number up to %d, or args.name", a, int64(maxAmount))
	}
	return nil
}

// price returns what a call with args costs, and -1 when that cannot be said.
func (a Amount) price(args map[string]json.RawMessage) int64 {
	if a == "" {
		return 0
	}
	text := string(a)
	if name, ok := strings.CutPrefix(text, "args."); ok {
		text = strings.TrimSpace(string(args[name]))
	}
	if !digits.MatchString(text) {
		return -1
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > maxAmount {
		return -1
	}
	return n
}
