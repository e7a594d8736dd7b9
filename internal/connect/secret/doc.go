// Package secret resolves the references under which servers keep their
// credentials: a variable of this process's environment or a file.
//
// It implements broker.Source. It reads at the moment of use and keeps nothing,
// so that a rotated file counts from the next call on. It refuses a file that
// anybody on the machine may read. What it resolves is never in an error.
// Wired by server.
package secret
