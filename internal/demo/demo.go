package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// storyTime bounds the whole story. It takes a few seconds; what takes longer
// hangs.
const storyTime = time.Minute

// Options say how the demo is run.
type Options struct {
	// Keep leaves the server and the records server running after the story, with
	// their data, until the context ends.
	Keep    bool
	Self    string // path of the binary that plays the parts: the product's own
	Version string
	Out     io.Writer // the story
	Err     io.Writer // what is being done meanwhile
	// TTY says that somebody watches Out and Err: verdicts are coloured and
	// progress is shown.
	TTY bool
}

// Run tells the story. It returns an error when anything comes out otherwise than
// the story says, or ctx ends first; every process that it started is then gone,
// and so is every file.
func Run(ctx context.Context, o Options) (err error) {
	w := &show{out: o.Out, err: o.Err, tty: o.TTY}
	s := &stage{self: o.Self}
	defer func() { err = errors.Join(err, s.strike()) }()
	defer w.close()
	w.say("Ambit %s · embedded store · throw-away data · nothing leaves this machine\n", o.Version)
	story, cancel := context.WithTimeoutCause(ctx, storyTime, fmt.Errorf("the story was not over after %s", storyTime))
	defer cancel()
	if err := s.set(story, w); err != nil {
		return why(story, err)
	}
	p := &plot{stage: s, show: w}
	if err := p.run(story); err != nil {
		return why(story, err)
	}
	if !o.Keep {
		w.say("\nLook around: ambit demo --keep     Make it yours: ambit dev")
		return nil
	}
	s.dismiss()
	w.say("\nThe servers run until you press Ctrl-C; then everything is removed.")
	for _, l := range [][2]string{{"server", s.issuer}, {"gateway", s.issuer + "/mcp/records"}, {"records", s.records.hello.URL + "   (refuses whoever lacks its credential)"},
		{"data", s.path("data")}, {"organisation", s.path("org", "org.yaml")},
		{"sign in", "export AMBIT_CONFIG_DIR=" + s.path("config") + "   (as lead, who administers)"},
		{"then", "ambit replay " + p.mission}} {
		w.say("  %-13s %s", l[0], l[1])
	}
	select {
	case <-ctx.Done():
		return nil // it was asked to end, and the story was told
	case <-s.server.gone:
		return s.server.died(errors.New("it is gone"))
	case <-s.records.gone:
		return s.records.died(errors.New("it is gone"))
	}
}

// why prefers the reason that ctx ended to what failed because of it.
func why(ctx context.Context, err error) error {
	switch ctx.Err() {
	case nil:
		return err
	case context.Canceled:
		return context.Canceled
	}
	return context.Cause(ctx)
}
