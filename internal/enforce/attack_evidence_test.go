package enforce_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/keyring"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// seals makes the house's Flush do what the server's sequencer does.
func (h *house) seals() {
	keys, err := keyring.Open(h.dir+"/keys", issuer)
	must(h.t, err)
	h.spine.Flush = func(ctx context.Context) error {
		size, err := h.store.Size(ctx, h.spine.Tenant)
		must(h.t, err)
		pending, err := h.store.Pending(ctx, h.spine.Tenant, 1000)
		must(h.t, err)
		var runs []principal.UID
		for _, p := range pending {
			runs = append(runs, p.Run)
		}
		counts, err := h.store.RunCounts(ctx, h.spine.Tenant, runs)
		must(h.t, err)
		as := ledger.Order(pending, size, counts)
		leaves := make([][]byte, len(as))
		for i, a := range as {
			leaves[i] = ledger.Finish(pending[i].Draft, a.Index, a.RunN)
		}
		tiles, root, err := ledger.Grow(size, leaves, ledger.TileReader(ctx, h.store, h.spine.Tenant))
		must(h.t, err)
		must(h.t, h.store.Sequence(ctx, h.spine.Tenant, size, as, tiles))
		size += int64(len(as))
		note, err := ledger.SignCheckpoint(keys.Checkpoint().Name(), size, root, keys.Checkpoint())
		must(h.t, err)
		return h.store.SaveCheckpoint(ctx, h.spine.Tenant, ledger.Checkpoint{Size: size, Root: root, Note: note, At: time.Now()})
	}
}

// verified exports a mission and verifies it as a stranger would.
func (h *house) verified(mission string) {
	h.t.Helper()
	b, err := h.spine.Export(ctx, h.root(), principal.UID(mission))
	must(h.t, err)
	if _, err := proof.Verify(b, proof.Options{LogKey: h.spine.LogKey}); err != nil {
		h.t.Errorf("the evidence of mission %s does not verify: %v", mission, err)
	}
}

// A sub-agent that was made in one mission delegates in another: the evidence of
// the second must still have its key, or two agents could make a mission of which
// nothing can ever be proved.
func TestAttackEvidenceOfReusedAgent(t *testing.T) {
	h := build(t)
	h.organise(true)
	h.seals()
	k, id := h.agents["assistant"], h.id("agent", "assistant")
	mission := func() (string, proof.Statement, enforce.Issued) {
		root, st, err := h.start("clinician", "assistant", nil)
		must(t, err)
		tok, err := h.take("assistant", root, true)
		must(t, err)
		return root, st, tok
	}
	root, first, tok := mission()
	x, sub, made := h.child(k, id, tok.AccessToken, root, nil)
	_, err := h.spine.Issue(ctx, x)
	must(t, err)
	root, second, tok := mission()
	x, _, _ = h.child(k, id, tok.AccessToken, root, func(s *proof.Statement) { s.Subject, s.Confirm.JKT = made.Subject, sub.jkt })
	x.ActorToken = sub.assertion(credential.ActorType, principal.UID(made.Subject), false)
	subTok, err := h.spine.Issue(ctx, x)
	must(t, err)
	y, _, _ := h.child(sub, principal.UID(made.Subject), subTok.AccessToken, x.Delegation, nil)
	_, err = h.spine.Issue(ctx, y)
	must(t, err)
	h.verified(first.Mission)
	h.verified(second.Mission)
}

// Whatever an agent sends and is refused for, its mission can still be proved.
func TestAttackEvidenceOfRefusals(t *testing.T) {
	h := build(t)
	h.organise(true)
	h.seals()
	root, st, err := h.start("clinician", "assistant", nil)
	must(t, err)
	tok, err := h.take("assistant", root, false)
	must(t, err)
	var e effects
	for _, c := range []struct{ tool, args string }{
		{"read", `{"patient":"P1"}`},
		{"read", `{"patient":"<P1>\u2028&\u0000","deep":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`},
		{"read", `{"patient":1e400}`}, {"read", `{"patient":1.50}`}, {"read", `{"":"","é":null}`},
		{"sp\u2028ace\x00\n", `{}`}, {"\U0001F600", `{}`}, {"delete", `{"patient":"P1"}`},
		{strings.Repeat("x", proof.MaxLeaf), `{}`},
	} {
		_, err := h.spine.Act(ctx, h.call(tok.AccessToken, c.tool, c.args), e.effect)
		must(t, err)
	}
	x, _, _ := h.child(h.agents["assistant"], h.id("agent", "assistant"), tok.AccessToken, root, func(s *proof.Statement) { s.Depth = 3 })
	if _, err := h.spine.Issue(ctx, x); err == nil {
		t.Fatal("a hop at the wrong depth was made")
	}
	h.verified(st.Mission)
}
