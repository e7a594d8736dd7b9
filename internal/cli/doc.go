// Package cli is the command line: one file per noun.
//
// It owns words, columns and exit codes, the profile that says which server and
// who, and what a person reads before they sign. It refuses to decide anything:
// it asks a server through client, verifies evidence through proof, and starts a
// server through server. Data goes to stdout and everything else to stderr;
// nothing that came from outside reaches a terminal with control characters in
// it. Called by cmd/ambit alone.
//
// Exit codes: 0 ok, 1 error, 2 usage, 3 denied, 4 needs approval, 5 differences
// or failed tests, 130 interrupted.
package cli
