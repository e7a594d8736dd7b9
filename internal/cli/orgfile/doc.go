// Package orgfile reads the declarative file of an organisation: YAML with
// positions, into an organisation.Document.
//
// It owns the spelling of the file: strict keys with suggestions, shorthands of
// constraints, files beside it (keys, model, policies) read and put in, paths
// made absolute, and errors that say file, line and column. It refuses what a
// reviewer could misread (anchors, aliases, tags, a key twice, values of a
// surprising type) and secrets written down. What the document means is the room
// organisation's. Called by the nouns of cli.
package orgfile
