package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ambit-iam/ambit/internal/enforce"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/route"
)

// DoorName is the socket, in the data directory, at which the first
// administrator enrols (SEMANTICS section 11).
const DoorName = "admin.sock"

// maxEnrolment bounds an enrolment's body.
const maxEnrolment = 16 << 10

// A door lets whoever runs as the server's own user enrol the first
// administrator. The kernel says who connects (SO_PEERCRED); nothing the peer
// sends does. It closes for good once it was used: Enrol refuses a second one.
type door struct {
	spine *enforce.Spine
	path  string
	http  *http.Server
	ln    net.Listener
}

// peerKey carries the peer's uid from the connection to the request.
type peerKey struct{}

func openDoor(dir string, spine *enforce.Spine) (*door, error) {
	d := &door{spine: spine, path: filepath.Join(dir, DoorName)}
	// A socket that a killed server left behind is not in use: the data
	// directory's lock is ours.
	if err := os.Remove(d.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", d.path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(d.path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	d.ln = ln
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enrol", d.enrol)
	d.http = &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			uid, err := peerUID(c)
			if err != nil {
				uid = -1
			}
			return context.WithValue(ctx, peerKey{}, uid)
		}}
	return d, nil
}

func (d *door) serve() error {
	if err := d.http.Serve(d.ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (d *door) enrol(w http.ResponseWriter, r *http.Request) {
	uid, _ := r.Context().Value(peerKey{}).(int)
	if uid != os.Getuid() {
		route.WriteProblem(w, r, fault.New(fault.Denied, "this door is for the server's own user").
			WithHint("run the command as the user that runs ambit serve"))
		return
	}
	var q struct {
		Handle string          `json:"handle"`
		Name   string          `json:"name"`
		JWK    json.RawMessage `json:"jwk"`
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEnrolment))
	if err == nil {
		err = json.Unmarshal(b, &q)
	}
	if err != nil {
		route.WriteProblem(w, r, fault.Wrap(fault.Malformed, err, "the enrolment does not parse"))
		return
	}
	out, err := d.spine.Enrol(r.Context(), enforce.Enrolment{Handle: q.Handle, Name: q.Name, JWK: q.JWK,
		Evidence: fmt.Sprintf("%s, peer uid %d", DoorName, uid)})
	if err != nil {
		route.WriteProblem(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// The issuer, because whoever knocks knows a directory and not a URL.
	if err := json.NewEncoder(w).Encode(struct {
		enforce.Changed
		Issuer string `json:"issuer"`
	}{out, d.spine.Issuer}); err != nil {
		return // the peer left; the enrolment stands and is recorded
	}
}
