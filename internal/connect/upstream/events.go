package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
)

const (
	// reconnects is how often a stream that ended before its answer is resumed.
	reconnects = 8
	// retryTime is the wait before that when the server names none, and maxRetry
	// the longest that it may name.
	retryTime = time.Second
	maxRetry  = 30 * time.Second
)

// An eventReader reads the events of a text/event-stream (WHATWG HTML, section
// 9.2), with lines that end in LF or CRLF.
type eventReader struct {
	r     *bufio.Reader
	bound int
	id    string        // of the last event that had one
	retry time.Duration // as the server last named it
}

// next returns the data of the next event that has any, as a slice of its own.
func (e *eventReader) next() ([]byte, error) {
	var data, line []byte
	for {
		part, err := e.r.ReadSlice('\n')
		if len(data)+len(line)+len(part) > e.bound {
			return nil, errTooLarge
		}
		if line = append(line, part...); errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err // an event that does not end does not count
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) == 0 && len(data) > 0 {
			return data[:len(data)-1], nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			data = append(append(data, value...), '\n')
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				e.id = string(value)
			}
		case "retry":
			if ms, err := strconv.Atoi(string(value)); err == nil && ms >= 0 {
				e.retry = min(time.Duration(ms)*time.Millisecond, maxRetry)
			}
		}
		line = line[:0]
	}
}

// events reads an event stream up to the answer. A stream that ends before it is
// resumed behind its last event, if events had ids (MCP 2025-11-25, Resumability):
// the server may close the connection of a long call and be polled.
func (x *exchange) events() (broker.Reply, error) {
	e := &eventReader{r: bufio.NewReaderSize(x.resp.Body, 4<<10), bound: x.l.u.o.MaxAnswer, retry: retryTime}
	for left := reconnects; ; {
		data, err := e.next()
		if err == nil && len(bytes.TrimSpace(data)) == 0 {
			continue // a priming event carries an id only
		}
		if err == nil {
			left = reconnects
			r, done, err := x.message(data)
			if done || err != nil {
				return r, err
			}
			continue
		}
		if errors.Is(err, errTooLarge) || e.id == "" || left == 0 || x.wire.Err() != nil {
			return broker.Reply{}, errors.Join(errors.New("the stream ended before the answer"), err)
		}
		left--
		if err := x.resume(e); err != nil {
			return broker.Reply{}, err
		}
	}
}

// resume waits as long as the server asked and continues the stream.
func (x *exchange) resume(e *eventReader) error {
	_ = x.resp.Body.Close()
	timer := time.NewTimer(e.retry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.wire.Done():
		return x.wire.Err()
	}
	resp, _, err := x.l.send(x.wire, x.o, http.MethodGet, nil, e.id)
	if err != nil {
		return err
	}
	x.resp = resp
	if resp.StatusCode != http.StatusOK {
		return errors.New("the stream could not be resumed: HTTP status " + strconv.Itoa(resp.StatusCode))
	}
	e.r.Reset(resp.Body)
	return nil
}

// drain reads what is left of an event stream behind its answer, which is nearly
// always nothing, so that its connection is used again. It ends the exchange.
func (x *exchange) drain(cut context.CancelFunc) {
	timer := time.AfterFunc(drainTime, cut)
	_, _ = io.CopyN(io.Discard, x.resp.Body, drainSize)
	_ = x.resp.Body.Close()
	timer.Stop()
	cut()
}
