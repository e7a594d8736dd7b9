// Package ledgertest is a ledger.Log in memory, for tests of what reads and
// sequences one: history, the sequencer, and the room itself. It keeps the
// contract of ledger.Log and lets a test reach behind it to tamper.
// Only tests import it.
package ledgertest
