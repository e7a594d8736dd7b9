package client

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"
)

// newUID makes a uid of Ambit: prefix, underscore and a UUIDv7 (RFC 9562) in
// lower-case Crockford base32. Hops and sub-agents are named by who makes them.
func newUID(prefix string) string {
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(time.Now().UnixMilli())<<16)
	rand.Read(u[6:])
	u[6], u[8] = u[6]&0x0f|0x70, u[8]&0x3f|0x80
	hi, lo := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	var b [26]byte
	for i := 25; i >= 0; i-- {
		b[i] = "0123456789abcdefghjkmnpqrstvwxyz"[lo&31]
		lo, hi = lo>>5|hi<<59, hi>>5
	}
	return prefix + "_" + string(b[:])
}

// commitment is the hash by which a child hop names its parent's statement.
func commitment(statement string) string {
	sum := sha256.Sum256([]byte(statement))
	return b64(sum[:])
}

func decodePart(part string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
