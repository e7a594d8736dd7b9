// Package migration holds the schema of the floor as numbered SQL files, one
// number for one change and one file of it per dialect. Files are only added;
// a released one is never edited. store runs them; nothing else imports this.
package migration
