package proof

import "fmt"

// Options say what the verifier knows from elsewhere.
type Options struct {
	// LogKey is the log's verifier key as the verifier learned it, from the
	// operator or a witness, not from the bundle. When "", the bundle's own key
	// is used and the report says so: the evidence then proves that whoever
	// holds that key says so, and nothing about who that is.
	LogKey string
}

// A Report is what Verify found. Everything but Problems and the log is
// meaningful only while Problems is empty.
type Report struct {
	Log          string `json:"log"` // origin of the log
	LogKey       string `json:"logKey"`
	LogKeyPinned bool   `json:"logKeyPinned"` // LogKey came from Options
	Size         int64  `json:"size"`         // entries in the log at the checkpoint

	Missions []string `json:"missions"` // uids, in order of appearance
	Origins  []string `json:"origins"`  // uids of the people whose intent began them
	// Signatures say with which key each root statement was signed, and how that
	// key came to be trusted.
	Signatures []Signature `json:"signatures"`

	Entries int `json:"entries"`
	Hops    int `json:"hops"`
	Actions int `json:"actions"` // allowed, under a mission
	// Unknown counts allowed decisions without an outcome: what came of them is
	// not known.
	Unknown int `json:"unknown"`
	Runs    int `json:"runs"`
	// Open counts runs without a closing entry. Nothing is missing between the
	// entries of an open run, but some may follow its last one.
	Open int `json:"open"`

	// Problems has a sentence for every check that failed. Entries are named by
	// their index in the log.
	Problems []string `json:"problems,omitempty"`
}

// A Signature is one person's signature of a mission.
type Signature struct {
	Mission  string `json:"mission"`
	Person   string `json:"person"`
	JKT      string `json:"jkt"`
	Enrolled int64  `json:"enrolled"` // index of the entry that enrolled the key
	Evidence string `json:"evidence"` // what that entry says the trust rests on
}

// err returns nil for a report without problems.
func (r Report) err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("evidence refused, %d checks failed; the first: %s", len(r.Problems), r.Problems[0])
}
