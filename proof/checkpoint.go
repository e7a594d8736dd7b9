package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxSize bounds the size of a log: 2⁴⁸ entries. It keeps the arithmetic of
// tree sizes far from overflow.
const maxSize = 1 << 48

// A Checkpoint is a tree head (C2SP tlog-checkpoint v1): which log, how many
// entries, and the RFC 6962 root over them.
type Checkpoint struct {
	Origin string // "<issuer host>/ledger"; also the name of the log's key
	Size   int64
	Root   tlog.Hash
}

// Text returns the note text of c, without its signature.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// OpenCheckpoint verifies a signed note with the verifier key of its log (C2SP
// signed-note, Ed25519) and returns the checkpoint in it. The text must be
// exactly origin, size and root: an extension line means that the log says
// something this program does not understand. Signatures by other keys, such as
// witnesses', are ignored.
func OpenCheckpoint(signed []byte, key string) (Checkpoint, error) {
	verifier, err := openKey(key)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	for _, s := range n.Sigs { // one spelling of one signature
		b, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || base64.StdEncoding.EncodeToString(b) != s.Base64 {
			return Checkpoint{}, errors.New("checkpoint: the signature is not canonical base64")
		}
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, fmt.Errorf("checkpoint has %d lines; want origin, size and root", len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > maxSize {
		return Checkpoint{}, fmt.Errorf("checkpoint of size %.40q; want 0 to 2⁴⁸", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errors.New("checkpoint: the root is not a hash in base64")
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if c.Text() != n.Text {
		return Checkpoint{}, errors.New("checkpoint is not in canonical form")
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("checkpoint of log %.80q is signed by the key of %.80q", c.Origin, verifier.Name())
	}
	return c, nil
}

// openKey parses a verifier key in its one spelling.
func openKey(key string) (note.Verifier, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	prefix := fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())
	if !strings.HasPrefix(key, prefix) || strings.ContainsAny(key, "\r\n") {
		return nil, errors.New("log key is not in canonical form")
	}
	return v, nil
}

// logOrigin returns the origin of the log of an issuer's URL, "" when issuer is
// no such URL. It is "<host>/ledger", with the port when the URL has one.
func logOrigin(issuer string) string {
	scheme, rest, ok := strings.Cut(issuer, "://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok || scheme != "https" && scheme != "http" || host == "" || strings.ContainsAny(issuer, " \t\r\n+?#@\\") {
		return ""
	}
	return host + "/ledger"
}
