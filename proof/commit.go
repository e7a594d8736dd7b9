package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
)

// Hash returns the SHA-256 of b in base64url without padding: the form of every
// hash that Ambit writes.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return b64.EncodeToString(sum[:])
}

// Commit returns the commitment to payload under salt: HMAC-SHA256, base64url.
// With 32 random bytes of salt it reveals nothing of the payload, and once both
// are destroyed the payload cannot be guessed either.
func Commit(salt [32]byte, payload []byte) string {
	h := hmac.New(sha256.New, salt[:])
	h.Write(payload)
	return b64.EncodeToString(h.Sum(nil))
}

// A Row is one changed object as an entry's payload lists it: what it is, its
// uid, its label, and its JSON after the change; no Body means it was removed.
type Row struct {
	Kind   string          `json:"kind"`
	Key    string          `json:"key"`
	Handle string          `json:"handle,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// RowsDigest returns the Hash of the RFC 8785 form of the array of rows, "" when
// there are none. A Body that is not JSON has no digest either: RowsDigest then
// returns "", which equals no leaf's.
func RowsDigest(rows []Row) string {
	if len(rows) == 0 {
		return ""
	}
	b, err := json.Marshal(rows)
	if err != nil {
		return ""
	}
	if b, err = canonical(b, payloadDepth, false); err != nil {
		return ""
	}
	return Hash(b)
}
