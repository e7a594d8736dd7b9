// Package schema reads relation models in other people's languages.
//
// It owns the parsers and the libraries behind them, so that the room relation
// needs none: today the OpenFGA DSL, schema 1.1. It refuses what relation cannot
// compute, with line and column, and never drops it quietly. Called by cli and
// server.
package schema
