package enforce

import (
	"context"
	"log/slog"
	"time"

	"github.com/ambit-iam/ambit/internal/core/broker"
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/core/decision"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/principal"
)

// What faces may know of the rooms that they may not import.
type (
	// Presented is what a face took from the wire, unverified.
	Presented = credential.Presented
	// Opened is a server with its credentials in hand, for one effect.
	Opened = broker.Opened
	// Upstreams carries calls to servers; it accepts an Opened only.
	Upstreams = broker.Upstreams
	// Reply is an upstream's answer.
	Reply = broker.Reply
	// Failure says whether a call that got no answer may have been sent.
	Failure = broker.Failure
	// Finding is what one stage said of one link.
	Finding = decision.Finding
)

// A State holds the snapshot that decisions are made on. Safe for concurrent use.
type State interface {
	// Current returns the newest snapshot. It fails with fault.Unavailable when
	// the replica has not reached the store within its staleness bound.
	Current() (*decision.Snapshot, error)
	// AtLeast waits, briefly, for a snapshot of revision or later, and fails with
	// fault.Unavailable when none comes.
	AtLeast(ctx context.Context, revision int64) (*decision.Snapshot, error)
}

// A Spine drives every action of one tenant. Its fields are set once, by server,
// before the first call. Safe for concurrent use.
type Spine struct {
	Tenant principal.UID
	Issuer string // the tenant's issuer URL, without a trailing slash
	Store  ledger.Store
	Log    ledger.Log
	State  State
	Tokens credential.Signer
	// SignIn is how long a person's or machine's own token lives; 0 is five
	// minutes, and credential.MaxSignIn the most.
	SignIn time.Duration
	// Credentials says what a presented credential is worth.
	Credentials credential.Verifier
	Secrets     broker.Source
	Mint        principal.Minter
	// Flush sequences every committed entry and signs a checkpoint over them.
	Flush func(context.Context) error
	// LogKey is the verifier key of the tenant's checkpoints (signed note).
	LogKey string
	Logger *slog.Logger

	effects effects
}

// API is the audience of tokens for the management API.
func (s *Spine) API() string { return s.Issuer + "/api" }

// Resource is the audience of tokens for the gateway in front of one server
// (RFC 8707), by its handle.
func (s *Spine) Resource(server string) string { return s.Issuer + "/mcp/" + server }

func (s *Spine) now() time.Time { return s.Mint.Now() }

// redecide is how often an action is decided again when its commit finds that
// the world moved. Past it the answer is unavailable, never a stale allow.
const redecide = 4
