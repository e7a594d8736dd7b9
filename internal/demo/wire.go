package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ambit-iam/ambit/client"
)

// maxLine bounds one line of the protocol.
const maxLine = 1 << 20

// An order is one line to a part. The parts speak JSON lines on their standard
// streams: a hello first, then an answer to each order, one at a time. Private
// keys never cross them, and tokens only from a parent to the child that they are
// bound to. The end of its input ends a part.
type order struct {
	Do string `json:"do"`
	// To names who it is for, when the reader only passes it on.
	To string `json:"to,omitempty"`

	Issuer    string           `json:"issuer,omitempty"`    // take, offer
	Server    string           `json:"server,omitempty"`    // take, accept: handle
	Agent     string           `json:"agent,omitempty"`     // take: uid
	Statement string           `json:"statement,omitempty"` // take: the signed mission
	Handover  *client.Handover `json:"handover,omitempty"`  // accept

	Tool      string         `json:"tool,omitempty"` // call, delegate
	Arguments map[string]any `json:"arguments,omitempty"`
	Seconds   int64          `json:"seconds,omitempty"` // delegate: for how long
}

// An answer is one line from a part. Error is set when the order could not be
// carried out; a refused call is no error.
type answer struct {
	Error string `json:"error,omitempty"`

	PID   int             `json:"pid,omitempty"`   // hello
	Key   json.RawMessage `json:"key,omitempty"`   // hello of an assistant: public JWK
	URL   string          `json:"url,omitempty"`   // hello of records
	Calls int64           `json:"calls,omitempty"` // count: tool calls that arrived

	Agent   string        `json:"agent,omitempty"`   // uid of a sub-agent
	Mission string        `json:"mission,omitempty"` // take, accept
	Tools   []string      `json:"tools,omitempty"`   // take, accept: as listed
	Offer   *client.Offer `json:"offer,omitempty"`
	Call    *outcome      `json:"call,omitempty"`
}

// An outcome is what became of a call, as the calling process saw it.
type outcome struct {
	verdict
	Text string        `json:"text,omitempty"` // what the tool answered
	Took time.Duration `json:"took"`           // from the call to its answer
}

// A verdict is the part of Ambit's decision that the story checks and tells. The
// gateway gives it as the data of its error.
type verdict struct {
	Outcome   string    `json:"outcome"` // allow, deny or challenge
	Link      int       `json:"link"`
	Stage     string    `json:"stage,omitempty"`
	Principal string    `json:"principal,omitempty"` // uid
	Reason    string    `json:"reason,omitempty"`
	Findings  []finding `json:"findings,omitempty"`
}

// A finding is what one stage said of one link.
type finding struct {
	Link   int    `json:"link"`
	Stage  string `json:"stage"`
	Passed bool   `json:"passed"`
	Reason string `json:"reason"`
}

// serveOrders answers orders from in until it ends, ctx does, or out is gone. A
// read that is under way when ctx ends is left behind: the process is about to end.
func serveOrders(ctx context.Context, in io.Reader, out io.Writer, do func(context.Context, order) (answer, error)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	next := make(chan []byte)
	go func() {
		defer close(next)
		for lines.Scan() {
			select {
			case next <- bytes.Clone(lines.Bytes()):
			case <-ctx.Done():
				return
			}
		}
	}()
	enc := json.NewEncoder(out)
	for {
		var text []byte
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-next:
			if !ok {
				return errors.Join(ctx.Err(), lines.Err())
			}
			text = line
		}
		var o order
		a, err := answer{}, decodeLine(text, &o)
		if err == nil {
			a, err = do(ctx, o)
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

// decodeLine reads one line strictly.
func decodeLine(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("a line of the protocol does not parse: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("a line of the protocol has something behind its object")
	}
	return nil
}

// A peer is a running part, from the side that gives the orders. Not safe for
// concurrent use.
type peer struct {
	*process
	orders  *json.Encoder
	answers *bufio.Scanner
	out     io.Closer // what answers reads
	hello   answer
}

// engage starts a part and reads its hello.
func engage(ctx context.Context, p *process) (*peer, error) {
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of our own: the one of exec.Cmd is closed when the process ends,
	// with what it said last still in it.
	out, itsOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	p.cmd.Stdout, p.hangUp = itsOut, in
	err = p.start()
	_ = itsOut.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	part := &peer{process: p, orders: json.NewEncoder(in), answers: bufio.NewScanner(out), out: out}
	part.answers.Buffer(nil, maxLine)
	if part.hello, err = part.next(ctx); err != nil {
		part.stop(0)
		return nil, err
	}
	return part, nil
}

// stop ends the part; see process.stop.
func (p *peer) stop(within time.Duration) {
	p.process.stop(within)
	_ = p.out.Close()
}

// ask gives an order and waits for its answer. A part that does not answer
// before ctx ends is killed: what it would say next answers something else.
func (p *peer) ask(ctx context.Context, o order) (answer, error) {
	if err := p.orders.Encode(o); err != nil {
		return answer{}, p.died(err)
	}
	return p.next(ctx)
}

func (p *peer) next(ctx context.Context) (a answer, err error) {
	defer context.AfterFunc(ctx, p.kill)()
	if !p.answers.Scan() {
		err = p.answers.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		return a, p.died(err)
	}
	if err := decodeLine(p.answers.Bytes(), &a); err != nil {
		return a, fmt.Errorf("%s: %w", p.name, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", p.name, a.Error)
	}
	return a, nil
}
