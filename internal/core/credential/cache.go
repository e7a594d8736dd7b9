package credential

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cacheShards keeps callers from waiting on one lock.
const cacheShards = 64

// A Cache remembers verified access tokens by the SHA-256 of their bytes: a
// signature costs 70 µs to verify, a hash half of one. It holds no verdict:
// standing, revocation and key binding are asked at every use. An entry dies
// with its token. Safe for concurrent use.
type Cache struct {
	shards [cacheShards]cacheShard
	limit  int // per shard
}

type cacheShard struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]Token
}

// NewCache returns a Cache of at most about capacity tokens.
func NewCache(capacity int) *Cache {
	c := &Cache{limit: max(1, capacity/cacheShards)}
	for i := range c.shards {
		c.shards[i].tokens = map[[sha256.Size]byte]Token{}
	}
	return c
}

// get returns the token of this hash if it still holds at now.
func (c *Cache) get(sum [sha256.Size]byte, now time.Time) (Token, bool) {
	s := &c.shards[sum[0]%cacheShards]
	s.mu.RLock()
	t, ok := s.tokens[sum]
	s.mu.RUnlock()
	return t, ok && t.at(now) == nil
}

// put remembers t. A full shard first drops what has expired, then whatever
// comes first: a token that is dropped costs its next user one verification.
func (c *Cache) put(sum [sha256.Size]byte, t Token, now time.Time) {
	s := &c.shards[sum[0]%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= c.limit {
		for k, old := range s.tokens {
			if old.at(now) != nil {
				delete(s.tokens, k)
			}
		}
		for k := range s.tokens {
			if len(s.tokens) < c.limit {
				break
			}
			delete(s.tokens, k)
		}
	}
	s.tokens[sum] = t
}

// Len returns how many tokens c remembers: a figure for metrics.
func (c *Cache) Len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].tokens)
		c.shards[i].mu.RUnlock()
	}
	return n
}
