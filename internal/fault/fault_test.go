package fault

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSafeHidesCauses(t *testing.T) {
	secret := errors.New("password=hunter2")
	for _, err := range []error{
		secret,
		Wrap(Upstream, secret, "the server did not answer"),
		fmt.Errorf("while serving: %w", Wrap(Denied, secret, "no")),
		Wrap(Internal, secret, "a detail of ours"),
		(*Error)(nil),
	} {
		if e, ok := err.(*Error); ok && e == nil {
			continue // a typed nil is a programming error elsewhere
		}
		message, hint := Safe(err)
		if strings.Contains(message+hint, "hunter2") || strings.Contains(message, "detail of ours") || message == "" {
			t.Errorf("%v renders %q %q", err, message, hint)
		}
	}
}

func TestKindOf(t *testing.T) {
	inner := New(NotFound, "no such thing")
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{errors.New("x"), Internal}, {inner, NotFound}, {fmt.Errorf("a: %w", inner), NotFound},
		{Wrap(Conflict, inner, "outer decides"), Conflict}, {nil, Internal},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if Kind(200).String() != "internal" {
		t.Error("an unknown kind has a name of its own")
	}
	if !errors.Is(Wrap(Conflict, inner, "x"), inner) {
		t.Error("the cause is lost")
	}
	if h := inner.WithHint("look %s", "there"); h.Hint != "look there" || inner.Hint != "" {
		t.Error("WithHint changed the original")
	}
}
