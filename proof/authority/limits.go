package authority

import (
	"errors"
	"fmt"
)

// Limits bound what a hop's subtree may do (closed list, SEMANTICS section 3).
// A nil member is the parent's; a set one is asked and charged at this hop.
type Limits struct {
	Calls       *int64 `json:"calls,omitempty"`
	Cost        *int64 `json:"cost,omitempty"`
	Rows        *int64 `json:"rows,omitempty"`
	Rate        *Rate  `json:"rate,omitempty"`
	MaxDepth    *int   `json:"maxDepth,omitempty"`    // absolute depth in the mission
	MaxChildren *int   `json:"maxChildren,omitempty"` // live children of this hop, and of each hop below without a bound of its own
}

// A Rate is at most N calls in any window of Per seconds (sliding).
type Rate struct {
	N   int64 `json:"n"`
	Per int64 `json:"per"`
}

// The bounds of a rate: the instants of a window are kept, and durations are
// counted in nanoseconds.
const (
	MaxRate       = 10_000
	MaxRateWindow = 366 * 24 * 3600 // seconds
)

// MaxDepth is the largest depth that a limit may allow.
const MaxDepth = 64

// Validate returns nil, or an *Error that names the limit that is malformed:
// none is negative, a rate is at most MaxRate calls in 1 to MaxRateWindow
// seconds, a depth is 1 to MaxDepth.
func (l Limits) Validate() error {
	for _, m := range l.counted() {
		if m.n != nil && *m.n < 0 {
			return limit("."+m.name, "is negative")
		}
	}
	if l.Rate != nil && (l.Rate.N < 0 || l.Rate.N > MaxRate || l.Rate.Per < 1 || l.Rate.Per > MaxRateWindow) {
		return limit(".rate", "is not 0 to %d calls in 1 to %d seconds", MaxRate, MaxRateWindow)
	}
	if l.MaxDepth != nil && (*l.MaxDepth < 1 || *l.MaxDepth > MaxDepth) {
		return limit(".maxDepth", "is not a depth from 1 to %d", MaxDepth)
	}
	return nil
}

// Within reports, as an *Error that names the limit and the bound, the first
// member of l that allows more than parent does. A nil member of l is the
// parent's, so it is within; a nil member of parent bounds nothing. parent
// holds what binds the parent, its own and inherited.
func (l Limits) Within(parent Limits) error {
	above := parent.counted()
	for i, m := range l.counted() {
		if p := above[i]; m.n != nil && p.n != nil && *m.n > *p.n {
			return limit("."+m.name, "is %d, above the parent's %d", *m.n, *p.n)
		}
	}
	if l.Rate != nil && parent.Rate != nil && !l.Rate.within(*parent.Rate) {
		return limit(".rate", "%s allows more than the parent's %s", *l.Rate, *parent.Rate)
	}
	return nil
}

// Inherit returns what binds a hop with limits l below one bound by parent: each
// member of l, or the parent's where l has none.
func (l Limits) Inherit(parent Limits) Limits {
	return Limits{
		Calls:       or(l.Calls, parent.Calls),
		Cost:        or(l.Cost, parent.Cost),
		Rows:        or(l.Rows, parent.Rows),
		Rate:        or(l.Rate, parent.Rate),
		MaxDepth:    or(l.MaxDepth, parent.MaxDepth),
		MaxChildren: or(l.MaxChildren, parent.MaxChildren),
	}
}

func or[T any](own, parents *T) *T {
	if own != nil {
		return own
	}
	return parents
}

// within reports whether r never allows more than p: a window of p is covered
// by so many windows of r.
func (r Rate) within(p Rate) bool {
	if r.Per < 1 || p.Per < 1 {
		return false
	}
	windows := (p.Per-1)/r.Per + 1
	return r.N <= p.N/windows
}

// String returns for example "20 calls in 60 s".
func (r Rate) String() string { return fmt.Sprintf("%d calls in %d s", r.N, r.Per) }

// A count is one limit that is a single number.
type count struct {
	name string
	n    *int64
}

func (l Limits) counted() [5]count {
	wide := func(n *int) *int64 {
		if n == nil {
			return nil
		}
		w := int64(*n)
		return &w
	}
	return [5]count{{"calls", l.Calls}, {"cost", l.Cost}, {"rows", l.Rows},
		{"maxDepth", wide(l.MaxDepth)}, {"maxChildren", wide(l.MaxChildren)}}
}

// UnmarshalJSON reads limits strictly: no member that is not known, none twice,
// none null, and valid.
func (l *Limits) UnmarshalJSON(data []byte) error {
	n, err := read(data)
	if err != nil {
		return ofLimits(err)
	}
	var out Limits
	err = n.fields("", func(name, at string, m node) error {
		var err error
		switch name {
		case "calls":
			out.Calls, err = pointer(m.integer(at))
		case "cost":
			out.Cost, err = pointer(m.integer(at))
		case "rows":
			out.Rows, err = pointer(m.integer(at))
		case "maxDepth":
			out.MaxDepth, err = pointer(m.small(at))
		case "maxChildren":
			out.MaxChildren, err = pointer(m.small(at))
		case "rate":
			out.Rate, err = pointer(m.rate(at))
		default:
			err = wrong(at, "is not a limit")
		}
		return err
	})
	if err == nil {
		err = out.Validate()
	}
	if err != nil {
		return ofLimits(err)
	}
	*l = out
	return nil
}

func (n node) rate(at string) (Rate, error) {
	var r Rate
	err := n.fields(at, func(name, at string, m node) (err error) {
		switch name {
		case "n":
			r.N, err = m.integer(at)
		case "per":
			r.Per, err = m.integer(at)
		default:
			err = wrong(at, "is not n or per")
		}
		return err
	})
	return r, err
}

// limit is wrong for limits; ofLimits says of what the reader said wrong.
func limit(at, format string, args ...any) error { return ofLimits(wrong(at, format, args...)) }

func ofLimits(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{Of: "limits", Path: e.Path, Reason: e.Reason}
	}
	return err
}
