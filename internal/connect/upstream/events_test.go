package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
)

// FuzzEvents: an event stream never yields more than the bound nor data that its
// lines do not hold, and however the bytes are cut the same events come out.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("id: 1\ndata: {}\n\n: c\ndata:a\r\ndata: b\r\n\r\nretry: 5\n\ndata: half"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		read := func(size int) (events [][]byte, id string) {
			e := &eventReader{r: bufio.NewReaderSize(bytes.NewReader(stream), size), bound: 1 << 10}
			for {
				data, err := e.next()
				if err != nil {
					return events, e.id
				}
				if len(data) > e.bound || e.retry > maxRetry {
					t.Fatalf("%d bytes, retry %v", len(data), e.retry)
				}
				for line := range bytes.SplitSeq(data, []byte("\n")) {
					if !bytes.Contains(stream, line) {
						t.Fatalf("made up %q", line)
					}
				}
				events = append(events, data)
			}
		}
		small, a := read(16)
		large, b := read(4096)
		if a != b || !bytes.Equal(bytes.Join(small, []byte("|")), bytes.Join(large, []byte("|"))) {
			t.Fatalf("%q in small reads, %q in large ones", small, large)
		}
	})
}

func TestEventIDWithNUL(t *testing.T) {
	e := &eventReader{r: bufio.NewReader(bytes.NewReader([]byte("id: a\x00b\nid\ndata: x\n\n"))), bound: 100}
	if data, err := e.next(); err != nil || string(data) != "x" || e.id != "" {
		t.Errorf("%q %q %v", data, e.id, err)
	}
	if _, err := e.next(); err == nil || errors.Is(err, errTooLarge) {
		t.Error(err)
	}
}
