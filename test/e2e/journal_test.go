package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/client"
)

// A journal is a world whose upstream writes down what was done there, and an agent
// that may do it.
type journal struct {
	*world
	key *client.Key // the agent's
}

// newJournal starts a world with the server journal, its tool append and the agent
// writer, and returns what was done there, by the argument of each call.
func newJournal(t *testing.T) (*journal, *tally) {
	did := &tally{m: map[string]int{}}
	up := newUpstream(t, func(_ string, arguments map[string]json.RawMessage) {
		var id string
		if json.Unmarshal(arguments["id"], &id) == nil {
			did.add(id)
		}
		// Whatever ends the server must find calls that were done and not answered.
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}, "append")
	w := &journal{newWorld(t), newKey(t)}
	w.apply(map[string]any{
		"users":   []any{map[string]any{"id": "admin", "name": "The administrator"}},
		"servers": []any{map[string]any{"id": "journal", "url": up.URL, "tools": map[string]any{"append": map[string]any{"effect": "write"}}}},
		"blueprints": []any{map[string]any{"id": "writer", "owner": "admin", "purpose": "write the journal", "entitlement": "delegated", "bearer": true,
			"ceiling": []any{map[string]any{"type": "mcp_tool", "server": "journal", "actions": []string{"append"}, "arguments": map[string]any{"id": map[string]any{"prefix": "call-"}}}}}},
		"agents":   []any{map[string]any{"id": "writer", "blueprint": "writer", "key": w.key.Public()}},
		"policies": permit("journal"),
	})
	return w, did
}

// A tally counts by name. Safe for concurrent use.
type tally struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[name]++
}

// count is of everything that was counted.
func (c *tally) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.m {
		n += k
	}
	return n
}

// append makes one call under a mission. What it answers without an error is
// either a refusal or that the thing was done.
func (j *journal) append(m taken, id string) (answer rpcAnswer, err error) {
	req, err := http.NewRequestWithContext(j.t.Context(), "POST", j.issuer+"/mcp/journal", strings.NewReader(toolCall("append", map[string]string{"id": id})))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := m.HTTPClient("journal").Do(req)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Error == nil && len(answer.Result.Content) != 1 {
		return answer, fmt.Errorf("%s: the answer is %s %s", id, res.Status, b)
	}
	return answer, nil
}
