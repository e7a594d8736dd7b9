package delegation

import (
	"strings"

	"github.com/ambit-iam/ambit/internal/principal"
)

// uids is an immutable sorted set: an AVL tree of which a write copies one path.
// An index over a snapshot grows by one uid per revision, where a slice would be
// copied whole and a map has no order. The zero value, nil, is empty.
type uids struct {
	left, right *uids
	id          principal.UID
	height, n   int
}

func (s *uids) len() int {
	if s == nil {
		return 0
	}
	return s.n
}

func (s *uids) high() int {
	if s == nil {
		return 0
	}
	return s.height
}

// node joins two trees around id; their heights differ by at most 1.
func node(l *uids, id principal.UID, r *uids) *uids {
	return &uids{left: l, right: r, id: id, height: max(l.high(), r.high()) + 1, n: l.len() + r.len() + 1}
}

// balanced is node for trees whose heights differ by at most 2.
func balanced(l *uids, id principal.UID, r *uids) *uids {
	switch {
	case l.high() > r.high()+1:
		if l.left.high() >= l.right.high() {
			return node(l.left, l.id, node(l.right, id, r))
		}
		m := l.right
		return node(node(l.left, l.id, m.left), m.id, node(m.right, id, r))
	case r.high() > l.high()+1:
		if r.right.high() >= r.left.high() {
			return node(node(l, id, r.left), r.id, r.right)
		}
		m := r.left
		return node(node(l, id, m.left), m.id, node(m.right, r.id, r.right))
	}
	return node(l, id, r)
}

// with returns s and id.
func (s *uids) with(id principal.UID) *uids {
	if s == nil {
		return node(nil, id, nil)
	}
	switch c := strings.Compare(string(id), string(s.id)); {
	case c < 0:
		return balanced(s.left.with(id), s.id, s.right)
	case c > 0:
		return balanced(s.left, s.id, s.right.with(id))
	}
	return s
}

// without returns s but id.
func (s *uids) without(id principal.UID) *uids {
	if s == nil {
		return nil
	}
	switch c := strings.Compare(string(id), string(s.id)); {
	case c < 0:
		return balanced(s.left.without(id), s.id, s.right)
	case c > 0:
		return balanced(s.left, s.id, s.right.without(id))
	case s.right == nil:
		return s.left
	}
	least := s.right
	for least.left != nil {
		least = least.left
	}
	return balanced(s.left, least.id, s.right.without(least.id))
}

// appendTo appends the uids in order.
func (s *uids) appendTo(out []principal.UID) []principal.UID {
	if s == nil {
		return out
	}
	return s.right.appendTo(append(s.left.appendTo(out), s.id))
}

// list returns the uids in order; nil when there are none.
func (s *uids) list() []principal.UID {
	if s == nil {
		return nil
	}
	return s.appendTo(make([]principal.UID, 0, s.n))
}
