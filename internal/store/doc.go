// Package store is the floor: it keeps the state and the ledger of all rooms in
// SQL, and is the one place where anything becomes durable.
//
// It owns the group commit, the revision log and the tables; it implements
// ledger.Store and ledger.Log. It refuses to know what a row means: a noun is a
// key, a label and a JSON body, and every noun's table has that one shape.
// Called by server alone, which hands its interfaces to enforce.
//
// A write goes through one goroutine. It takes what is queued (queue.go),
// checks conditions and limits against heads that it holds in memory (head.go),
// writes all that held in one SQL transaction (batch.go, writer.go), answers after
// the fsync, and has the WAL folded back beside it (wal.go). What one commit may not do fails that commit alone. A disk
// that fails stops the store for good: after a failed fsync nobody knows what
// is on the disk, so nothing is retried and everything answers
// fault.Unavailable until a restart has read the file anew.
//
// Reads use a pool of their own that cannot write.
package store
