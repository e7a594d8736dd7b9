package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
)

// A record is one line of a patient's record.
type record struct {
	ID      string `json:"id"`
	Patient string `json:"patient"`
	Kind    string `json:"kind"`
	Text    string `json:"text"`
}

// A note belongs to an encounter.
type note struct {
	ID        string `json:"id"`
	Encounter string `json:"encounter"`
	Text      string `json:"text"`
	Signed    bool   `json:"signed"`
}

// A file holds the records of the ward, as JSON on disk: what a change left there
// is what the next process reads. Safe for concurrent use.
type file struct {
	path string

	mu   sync.Mutex // protects held
	held struct {
		Records []record `json:"records"`
		Notes   []note   `json:"notes"`
	}
}

func openFile(path string) (*file, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path}
	if err := json.Unmarshal(b, &f.held); err != nil {
		return nil, fmt.Errorf("%s does not hold records: %w", path, err)
	}
	return f, nil
}

// read returns a patient's records of a kind; "" is every kind.
func (f *file) read(patient, kind string) []record {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []record{}
	for _, r := range f.held.Records {
		if r.Patient == patient && (kind == "" || r.Kind == kind) {
			out = append(out, r)
		}
	}
	return out
}

// write adds a note and returns it.
func (f *file) write(encounter, text string) (note, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := note{ID: fmt.Sprintf("n%d", len(f.held.Notes)+1), Encounter: encounter, Text: text}
	f.held.Notes = append(f.held.Notes, n)
	return n, f.save()
}

// sign signs a note of an encounter.
func (f *file) sign(encounter, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, n := range f.held.Notes {
		if n.ID == id && n.Encounter == encounter {
			f.held.Notes[i].Signed = true
			return f.save()
		}
	}
	return fmt.Errorf("encounter %s has no note %s", encounter, id)
}

// remove deletes a record of a patient.
func (f *file) remove(patient, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.held.Records, func(r record) bool { return r.Patient == patient && r.ID == id })
	if i < 0 {
		return fmt.Errorf("patient %s has no record %s", patient, id)
	}
	f.held.Records = slices.Delete(f.held.Records, i, i+1)
	return f.save()
}

// save writes the file in one piece. f.mu is held.
func (f *file) save() error {
	b, err := json.MarshalIndent(f.held, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+".tmp", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".tmp", f.path)
}
