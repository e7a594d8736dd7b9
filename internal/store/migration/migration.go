package migration

import "embed"

// SQLite is the schema for SQLite. Its statements stay inside what PostgreSQL
// has too (TEXT, BIGINT, BLOB as BYTEA, partial indexes, ON CONFLICT), but for
// WITHOUT ROWID: a table without it keeps a second tree for its primary key.
//
//go:embed *.sqlite.sql
var SQLite embed.FS
