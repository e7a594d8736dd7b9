// Package storetest is the one suite that every store must pass: it is the
// contract of ledger.Store, ledger.Log and the snapshot feed, as tests. Each
// engine's own test calls Run. A case that no broken store fails is worth
// nothing, so the engine's tests also run it against stores broken on purpose.
package storetest
