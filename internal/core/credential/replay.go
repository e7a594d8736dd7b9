package credential

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
)

// replayShards keeps callers from waiting on one lock.
const replayShards = 64

// A Replay remembers the DPoP proofs that were used, each until no clock would
// accept it again, so that none is used twice (RFC 9449 section 11.1). It is
// bounded and refuses when full: forgetting would be worse. Safe for concurrent
// use.
//
// What was used before the process started is not remembered, so proofs that may
// be as old as that are not accepted: their clients are asked for a fresh one
// with this process's nonce in it (RFC 9449 section 8), and a restart forgets
// nothing.
type Replay struct {
	boot   time.Time
	nonce  string
	shards [replayShards]replayShard
	limit  int // per shard
}

type replayShard struct {
	mu    sync.Mutex
	seen  map[replayKey]principal.UID // the request that used it
	due   map[int64][]replayKey       // by the second after which they may be forgotten
	clock int64                       // the latest second seen; it never goes back
}

// A replayKey is half of a SHA-256: a client that finds two of its own proofs
// with the same one has harmed itself.
type replayKey [16]byte

// NewReplay returns a Replay of about capacity proofs; 150 bytes each. boot is
// when the process started and nonce a random value of it. A boot of zero says
// that no earlier process can have accepted a proof, because the token key is as
// new as this one.
func NewReplay(capacity int, boot time.Time, nonce string) *Replay {
	r := &Replay{boot: boot, nonce: nonce, limit: max(1, capacity/replayShards)}
	for i := range r.shards {
		r.shards[i] = replayShard{seen: map[replayKey]principal.UID{}, due: map[int64][]replayKey{}}
	}
	return r
}

// Use records that p was used at now. It fails when another request used it,
// when it may be older than the process (NonceRequired), and when there is no
// room.
func (r *Replay) Use(p Proof, now time.Time) error {
	// A client's clock may run ahead by Skew, so a proof this close to boot may
	// have been made, and used, before it.
	if !r.boot.IsZero() && !p.Issued.After(r.boot.Add(Skew)) && (r.nonce == "" || p.Nonce != r.nonce) {
		return fault.Wrap(fault.Unauthenticated, &NonceRequired{r.nonce},
			"DPoP proof refused: it may be older than this start of the server").
			WithHint("repeat the request with a fresh proof that carries the nonce of the DPoP-Nonce header")
	}
	sum := sha256.Sum256([]byte(p.JKT + "\n" + p.ID))
	key := replayKey(sum[:16])
	expiry := p.Issued.Add(ProofWindow).Unix() + 1
	s := &r.shards[sum[31]%replayShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now.Unix())
	switch by, used := s.seen[key]; {
	case used && by != "" && by == p.Request:
		return nil
	case used:
		return Refuse(ErrInvalidDPoPProof, "DPoP proof refused: it was used before")
	case expiry < s.clock: // the wall clock went back; what this proof may repeat is forgotten
		return Refuse(ErrInvalidDPoPProof, "DPoP proof refused: it is older than 60 s")
	case len(s.seen) >= r.limit:
		return fault.New(fault.Unavailable, "too many requests at once to tell replays apart").WithHint("retry in a second with a fresh proof")
	}
	s.seen[key] = p.Request
	s.due[expiry] = append(s.due[expiry], key)
	return nil
}

// sweep forgets what is over. At most once a second there is anything to do, and
// then due has an entry for each second of the window.
func (s *replayShard) sweep(now int64) {
	if now <= s.clock {
		return
	}
	s.clock = now
	for second, keys := range s.due {
		if second < now {
			for _, k := range keys {
				delete(s.seen, k)
			}
			delete(s.due, second)
		}
	}
}
