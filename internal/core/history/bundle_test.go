package history_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/history"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// What is exported verifies on a machine that has never seen the server.
func TestBundleVerifies(t *testing.T) {
	b := discharge(t)
	key := b.seal()
	exported, err := history.Bundle(t.Context(), b.log, b.log.Tenant, b.mission.ID, key)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := proof.WriteBundle(&file, exported); err != nil {
		t.Fatal(err)
	}
	bundle, err := proof.ReadBundle(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	report, err := proof.Verify(bundle, proof.Options{LogKey: key})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(report.Problems, "\n"))
	}
	if diff := cmp.Diff([]string{string(b.mission.ID)}, report.Missions); diff != "" {
		t.Error(diff)
	}
	if report.Actions != 5 || report.Unknown != 1 || report.Hops != 2 || len(report.Signatures) != 1 {
		t.Errorf("report %+v", report)
	}
	var stored []ledger.Stored
	for _, e := range bundle.Entries {
		stored = append(stored, ledger.Stored{Leaf: e.Leaf, Payload: e.Payload, Salt: e.Salt})
	}
	// The auditor reads the same story, after the enrolment that the bundle adds.
	theirs, err := history.Story(stored[1:])
	if err != nil {
		t.Fatal(err)
	}
	ours, err := history.Story(b.stored())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(render(t, ours), render(t, theirs)); diff != "" {
		t.Errorf("story from the bundle (-server +bundle):\n%s", diff)
	}
}

// Entries behind the checkpoint, or another's, are not in a bundle.
func TestBundleIsOfOneMissionUnderTheCheckpoint(t *testing.T) {
	b := discharge(t)
	first := b.mission
	b.organise()
	root := b.start("another mission")
	b.call(root, b.records, "read", "patient:P1", map[string]string{"patient": "P1"}, "", "")
	key := b.seal()
	b.call(root, b.records, "read", "patient:P1", map[string]string{"patient": "P1"}, "", "")
	for mission, entries := range map[principal.UID]int{first.ID: 23, b.mission.ID: 3} {
		bundle, err := history.Bundle(t.Context(), b.log, b.log.Tenant, mission, key)
		if err != nil {
			t.Fatal(err)
		}
		if report, err := proof.Verify(bundle, proof.Options{}); err != nil || report.Entries != entries || len(report.Missions) != 1 {
			t.Errorf("mission %s: %d entries of %v, want %d; %v", mission, report.Entries, report.Missions, entries, err)
		}
	}
}

// A person's keys are shown as the ledger tells them, up to the mission: a key
// that was changed back and forth counts from the last time it was added.
func TestBundleShowsTheEnrolment(t *testing.T) {
	user := func(b *book, keys []directory.Key) ledger.Row {
		return row("user", b.clinician, directory.User{ID: b.clinician, Handle: "clinician", Keys: keys, State: directory.Active})
	}
	b := newBook(t)
	b.organise()
	b.change(b.lead, "organisation.apply", "clinician lost the key", user(b, nil))
	b.change(b.lead, "organisation.apply", "clinician got it back", user(b, b.enrolled(b.clinician)))
	b.change(b.lead, "organisation.apply", "somebody else", row("user", b.lead, directory.User{ID: b.lead, State: directory.Active}))
	b.change(b.lead, "organisation.apply", "clinician was renamed", user(b, b.enrolled(b.clinician)))
	b.start("be signed for")
	key := b.seal()
	bundle, err := history.Bundle(t.Context(), b.log, b.log.Tenant, b.mission.ID, key)
	if err != nil {
		t.Fatal(err)
	}
	var at []int64
	for _, e := range bundle.Entries {
		at = append(at, e.Leaf.Index)
	}
	if diff := cmp.Diff([]int64{2, 4, 5}, at); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}

	b = newBook(t)
	b.organise()
	b.change(b.lead, "organisation.apply", "clinician lost the key", user(b, nil))
	b.start("be signed for")
	key = b.seal()
	if _, err := history.Bundle(t.Context(), b.log, b.log.Tenant, b.mission.ID, key); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a key that was withdrawn before the mission: got %v", err)
	}
}

func TestBundleRefusesATamperedLog(t *testing.T) {
	b := discharge(t)
	key := b.seal()
	r := &b.log.Records[7]
	r.Draft = bytes.Replace(r.Draft, []byte(`"allow"`), []byte(`"deny"`), 1)
	r.Draft = bytes.Replace(r.Draft, []byte(`"outcome"`), []byte(`"checked"`), 1)
	if _, err := history.Bundle(t.Context(), b.log, b.log.Tenant, b.mission.ID, key); !errors.Is(err, ledger.ErrTampered) {
		t.Errorf("got %v", err)
	}
}

// More entries than one page of the floor holds.
func TestEntriesReadsEveryPage(t *testing.T) {
	const n = 10_050
	b := newBook(t)
	b.organise()
	root := b.start("go on and on")
	for range n {
		b.check(root, b.records, "ping")
	}
	b.seal()
	b.check(root, b.records, "ping")
	entries, err := entriesOf(b)
	if err != nil || len(entries) != n+2 {
		t.Errorf("read %d entries, want %d: %v", len(entries), n+2, err)
	}
}
