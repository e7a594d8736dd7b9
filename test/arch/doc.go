// Package arch holds no code: its tests read the sources and refuse what the
// design does not allow. The tables in them are ARCHITECTURE.md's import table.
package arch
