package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/proof"
)

// replay tells what happened from the ledger alone, as the command line does, and
// asks the records server how many calls reached it.
func (p *plot) replay(ctx context.Context, n int) error {
	p.show.doing("reading the ledger")
	start := time.Now()
	text, err := p.stage.ambit(ctx, "replay", p.mission)
	if err != nil {
		return err
	}
	p.show.tell(line{step: n, text: "what happened, and why", took: ms(time.Since(start))})
	for l := range strings.Lines(text) {
		p.show.say("%s", fold(strings.Repeat(" ", textColumn), strings.TrimRight(l, "\n")))
	}
	if told := int64(strings.Count(text, "was refused ")); told != p.refused {
		return fmt.Errorf("the ledger tells of %d refused calls; there were %d", told, p.refused)
	}
	counted, err := p.stage.records.ask(ctx, order{Do: "count"})
	if err != nil {
		return err
	}
	if counted.Calls != p.allowed {
		return fmt.Errorf("%d calls reached the records server; %d were allowed", counted.Calls, p.allowed)
	}
	p.show.tell(line{why: fmt.Sprintf("%d calls reached the records server, each with an ALLOW; none of the %d refused did", p.allowed, p.refused)})
	return nil
}

// verify exports the evidence and verifies it without the server, then changes
// one bit of it and verifies that too.
func (p *plot) verify(ctx context.Context, n int) error {
	p.show.doing("verifying the evidence")
	bundle := p.stage.path("bundle.zip")
	if _, err := p.stage.ambit(ctx, "ledger", "export", "--mission", p.mission, "--out", bundle); err != nil {
		return err
	}
	start := time.Now()
	text, err := p.stage.ambit(ctx, "verify", bundle, "-o", "json")
	took := time.Since(start)
	if err != nil {
		return err
	}
	var r proof.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("the report does not parse: %w", err)
	}
	if !slices.Equal(r.Missions, []string{p.mission}) || !slices.Equal(r.Origins, []string{p.clinician}) ||
		len(r.Signatures) != 1 || r.Hops != 2 || int64(r.Actions) != p.allowed || r.Unknown != 0 {
		return fmt.Errorf("the evidence is of %d actions over %d hops, %d with an outcome that is not known, of missions %v by %v; the story is another",
			r.Actions, r.Hops, r.Unknown, r.Missions, r.Origins)
	}
	p.show.tell(line{step: n, text: "verified offline", verdict: "VALID", took: ms(took),
		why: fmt.Sprintf("%d entries, none missing, 1 checkpoint", r.Entries)})
	p.show.tell(line{why: "the chain of every action reaches the clinician's signature; no independent witness has seen the log"})
	return p.tamper(ctx, bundle)
}

// tamper changes one bit in the middle of the evidence: it must be refused.
func (p *plot) tamper(ctx context.Context, bundle string) error {
	b, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(bundle, b, 0o600); err != nil {
		return err
	}
	start := time.Now()
	_, err = p.stage.ambit(ctx, "verify", bundle)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		return fmt.Errorf("evidence with one bit changed was not refused: %w", errors.Join(err, ctx.Err()))
	}
	p.show.tell(line{text: "the same with one bit changed", verdict: "REFUSED", took: ms(time.Since(start))})
	return nil
}

// fold breaks a line of a tree that is longer than the width. What continues it
// keeps the branches that go on.
func fold(indent, text string) string {
	branches := text[:len(text)-len(strings.TrimLeft(text, "│├└─ "))]
	more := strings.NewReplacer("├─ ", "│  ", "└─ ", "   ").Replace(branches)
	return strings.Join(wrap(indent+branches, indent+more+"  ", text[len(branches):]), "\n")
}
