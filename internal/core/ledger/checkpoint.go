package ledger

import (
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/proof"
)

// SignCheckpoint returns the checkpoint of a tree (C2SP tlog-checkpoint) as a
// note signed by signer (C2SP signed-note). origin names the log and MUST be
// the signer's name, or proof.OpenCheckpoint refuses what was signed.
func SignCheckpoint(origin string, size int64, root tlog.Hash, signer note.Signer) ([]byte, error) {
	if origin != signer.Name() || strings.ContainsAny(origin, "\r\n") || size < 0 {
		return nil, fault.New(fault.Internal,
			"checkpoint of log %q at size %d by key %q: want a name of one line that is the key's too, and a size of at least 0",
			origin, size, signer.Name())
	}
	text := proof.Checkpoint{Origin: origin, Size: size, Root: root}.Text()
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "checkpoint of log %s at size %d cannot be signed", origin, size)
	}
	return signed, nil
}
