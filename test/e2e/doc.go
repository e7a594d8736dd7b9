// Package e2e holds no code: its tests run the server as a process of its own and
// speak to it over its sockets, as administrators, agents and attackers would.
package e2e
