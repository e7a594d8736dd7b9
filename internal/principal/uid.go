package principal

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// A UID is an opaque typed identifier: a prefix, an underscore and a UUIDv7
// (RFC 9562) in 26 lower-case Crockford base32 characters, for example
// "agt_01jd3v7q8x9m2n4p6r8t0v2w4y". Byte-compare uids; there is exactly one
// spelling of each (SEMANTICS section 1).
type UID string

// A Prefix says what a uid names. The list is closed.
type Prefix string

// The prefixes of everything Ambit owns.
const (
	User       Prefix = "usr"
	Agent      Prefix = "agt"
	Workload   Prefix = "wkl"
	Group      Prefix = "grp"
	Blueprint  Prefix = "bpr"
	Mission    Prefix = "msn"
	Hop        Prefix = "hop"
	Grant      Prefix = "gnt"
	Approval   Prefix = "apr"
	Request    Prefix = "req"
	Server     Prefix = "srv"
	Tool       Prefix = "tol"
	Policy     Prefix = "pol"
	Model      Prefix = "mdl"
	Context    Prefix = "ctx"
	Key        Prefix = "key"
	Run        Prefix = "run"
	Entry      Prefix = "ent"
	Checkpoint Prefix = "chk"
	Point      Prefix = "evp" // enforcement point
	Tenant     Prefix = "ten"
)

// known reports whether p is on the list.
func known(p Prefix) bool {
	switch p {
	case User, Agent, Workload, Group, Blueprint, Mission, Hop, Grant, Approval, Request, Server, Tool,
		Policy, Model, Context, Key, Run, Entry, Checkpoint, Point, Tenant:
		return true
	}
	return false
}

// System is the one principal that is not in the directory: reactions of the
// server itself re-enter the spine under this name. It may narrow, quarantine,
// revoke, expire and seal, and nothing else (SEMANTICS section 2).
const System UID = "ambit:system"

// crockford is the base32 alphabet without i, l, o and u, in lower case.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// digit says which bytes are digits of crockford: uids are checked on every call.
var digit = func() (t [256]bool) {
	for i := range len(crockford) {
		t[crockford[i]] = true
	}
	return t
}()

// Make builds a uid from its parts. It is pure: callers own the clock and the
// entropy, so that rooms stay functions of their input.
func Make(p Prefix, at time.Time, entropy [10]byte) UID {
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(at.UnixMilli())<<16)
	copy(u[6:], entropy[:])
	u[6] = u[6]&0x0f | 0x70 // version 7
	u[8] = u[8]&0x3f | 0x80 // variant 10
	return UID(string(p) + "_" + encode(u))
}

// encode writes 128 bits as 26 digits of 5 bits, most significant first; the
// first digit holds the top 3 bits.
func encode(u [16]byte) string {
	hi, lo := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	var b [26]byte
	for i := 25; i >= 0; i-- {
		b[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(b[:])
}

// Prefix returns what u names, or "" when u is not well formed.
func (u UID) Prefix() Prefix {
	if p, _, ok := split(string(u)); ok {
		return p
	}
	return ""
}

// Is reports whether u is a well-formed uid of prefix p.
func (u UID) Is(p Prefix) bool { return u != "" && u.Prefix() == p }

// Parse returns s as a uid, and an error that says what is wrong with it.
func Parse(s string) (UID, error) {
	if _, _, ok := split(s); !ok {
		return "", fmt.Errorf("%q is not a uid: want a known three-letter prefix, '_' and 26 base32 characters", s)
	}
	return UID(s), nil
}

func split(s string) (Prefix, string, bool) {
	if len(s) != 30 || s[3] != '_' || !known(Prefix(s[:3])) {
		return "", "", false
	}
	d := s[4:]
	if d[0] > '7' { // 26*5 = 130 bits; only 128 exist
		return "", "", false
	}
	for i := 0; i < len(d); i++ {
		if !digit[d[i]] {
			return "", "", false
		}
	}
	return Prefix(s[:3]), d, true
}

// SPIFFE returns the SPIFFE ID of a user, agent, workload or group in a trust
// domain: spiffe://<domain>/<kind>/<uid>. It returns "" for anything else.
func (u UID) SPIFFE(trustDomain string) string {
	kind := ""
	switch u.Prefix() {
	case User:
		kind = "user"
	case Agent:
		kind = "agent"
	case Workload:
		kind = "workload"
	case Group:
		kind = "group"
	}
	if kind == "" || trustDomain == "" {
		return ""
	}
	return "spiffe://" + trustDomain + "/" + kind + "/" + string(u)
}

// A Minter makes uids from a clock and a source of entropy. It is safe for
// concurrent use when Entropy is. The composition root makes one; rooms never do.
type Minter struct {
	Now     func() time.Time
	Entropy io.Reader
}

// New returns a fresh uid. A source of entropy that fails is not survivable:
// New panics rather than hand out an identifier that another may share.
func (m Minter) New(p Prefix) UID {
	var e [10]byte
	if _, err := io.ReadFull(m.Entropy, e[:]); err != nil {
		panic("principal: entropy: " + err.Error())
	}
	return Make(p, m.Now(), e)
}
