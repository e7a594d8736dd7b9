// Package docs holds no code: its tests run what the documentation tells people
// to type, against a real server, and hold its pages to the sources they speak
// of: commands, flags, links, files, functions, packages and tables.
package docs
