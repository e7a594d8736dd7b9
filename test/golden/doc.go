// Package golden holds the golden cases of SEMANTICS section 12 as data, org.yaml
// and cases.json, and runs them against core/decision and core/delegation. Other
// rooms and faces read the same data.
package golden
