package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/proof"
)

// Bundle gathers what proof.Verify needs of one mission, as of log's last
// checkpoint: its Entries with proofs of inclusion, the statement of every hop,
// the key of everybody who signed one, and of each person the entries from the
// enrolment of the key to the mission's start that say what that person's keys
// were. logKey is the log's verifier key.
//
// What came after the checkpoint is not in it: flush the sequencer first. It
// fails with fault.NotFound when the ledger does not know the mission or a
// signer's key.
func Bundle(ctx context.Context, log ledger.Log, tenant, mission principal.UID, logKey string) (proof.Bundle, error) {
	cp, err := log.LastCheckpoint(ctx, tenant)
	if err != nil {
		return proof.Bundle{}, err
	}
	all, err := Entries(ctx, log, tenant, mission)
	if err != nil {
		return proof.Bundle{}, err
	}
	all = slices.DeleteFunc(all, func(s ledger.Stored) bool {
		// A change that served another mission too is that one's evidence.
		foreign := s.Leaf.Mission != "" && s.Leaf.Mission != string(mission)
		return foreign || s.Leaf.Index < 0 || s.Leaf.Index >= cp.Size
	})
	if len(all) == 0 {
		return proof.Bundle{}, fault.New(fault.NotFound, "mission %s has no entry under a checkpoint yet", mission).
			WithHint("try again in a second")
	}
	b := proof.Bundle{Checkpoint: cp.Note, LogKey: logKey}
	var signers []signer
	if b.Statements, signers, err = statements(all, mission); err != nil {
		return proof.Bundle{}, err
	}
	past, err := pages(ctx, log, tenant, ledger.Filter{Kind: ledger.Change})
	if err != nil {
		return proof.Bundle{}, err
	}
	first := all[0].Leaf.Index
	past = slices.DeleteFunc(past, func(s ledger.Stored) bool { return s.Leaf.Index < 0 || s.Leaf.Index >= first })
	for _, who := range signers {
		key, enrolments, err := who.enrolled(past, all)
		if err != nil {
			return proof.Bundle{}, err
		}
		b.Keys = append(b.Keys, key)
		all = append(all, enrolments...)
	}
	slices.SortFunc(all, func(x, y ledger.Stored) int { return cmp.Compare(x.Leaf.Index, y.Leaf.Index) })
	all = slices.CompactFunc(all, func(x, y ledger.Stored) bool { return x.Leaf.Index == y.Leaf.Index })
	b.Entries, err = ledger.Prove(ctx, log, tenant, cp, all)
	return b, err
}

// A signer is somebody's key that signed a statement.
type signer struct {
	uid principal.UID
	jkt string
}

// statements returns the statements of the mission's hops, each once in the
// order they were made, and who signed them.
func statements(all []ledger.Stored, mission principal.UID) ([]string, []signer, error) {
	var compact []string
	var signers []signer
	for _, s := range all {
		p, err := read(s)
		if err != nil {
			return nil, nil, err
		}
		for _, h := range p.made(s, mission) {
			if slices.Contains(compact, h.Statement) { // written again when it was narrowed or ended
				continue
			}
			st, kid, err := proof.ParseStatement(h.Statement)
			if err != nil {
				return nil, nil, fault.Wrap(fault.Internal, err, "the statement of hop %s, recorded in entry %d, does not parse", h.ID, s.Leaf.Index)
			}
			compact = append(compact, h.Statement)
			if who := (signer{principal.UID(st.Issuer), kid}); !slices.Contains(signers, who) {
				signers = append(signers, who)
			}
		}
	}
	return compact, signers, nil
}

// enrolled finds the signer's key in past, the changes before the mission, or
// in its own entries. Of a person it also returns the entries of past that say
// what the person's keys were, from the last time this one was added; an
// agent's key needs none, its parent's statement confirms it.
func (w signer) enrolled(past, own []ledger.Stored) (proof.Key, []ledger.Stored, error) {
	var jwk []byte
	var since []ledger.Stored
	person := w.uid.Is(principal.User)
	search := past
	if !person {
		search = slices.Concat(past, own)
	}
	for _, s := range search {
		p, err := read(s)
		if err != nil {
			return proof.Key{}, nil, err
		}
		keys, about := p.keys(w.uid)
		if !about {
			continue
		}
		at := slices.IndexFunc(keys, func(k directory.Key) bool { return k.JKT == w.jkt })
		if at < 0 {
			since = nil // withdrawn, should it have been there
			continue
		}
		since = append(since, s)
		jwk = keys[at].JWK
	}
	if jwk == nil || person && since == nil {
		return proof.Key{}, nil, fault.New(fault.NotFound, "the ledger has no entry before the mission that enrols key %s of %s, which signed a hop of it", w.jkt, w.uid)
	}
	public, err := proof.ParseJWK(jwk)
	if err != nil {
		return proof.Key{}, nil, fault.Wrap(fault.Internal, err, "key %s of %s was enrolled as something that is no key", w.jkt, w.uid)
	}
	key := proof.Key{UID: string(w.uid), JWK: proof.PublicJWK(public)}
	if !person {
		return key, nil, nil
	}
	key.Entry = since[0].Leaf.ID
	return key, since, nil
}
