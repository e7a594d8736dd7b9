package decision

import (
	"encoding/json"
	"sort"

	"github.com/ambit-iam/ambit/internal/core/delegation"
	"github.com/ambit-iam/ambit/internal/core/directory"
	"github.com/ambit-iam/ambit/internal/core/ledger"
	"github.com/ambit-iam/ambit/internal/core/mapping"
	"github.com/ambit-iam/ambit/internal/core/policy"
	"github.com/ambit-iam/ambit/internal/core/relation"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/table"
	"github.com/ambit-iam/ambit/proof"
)

// A Snapshot is every fact of one tenant at one revision. It is immutable and
// safe for concurrent use; Apply returns the next.
type Snapshot struct {
	Tenant    principal.UID
	Revision  int64
	Directory directory.Directory
	Missions  delegation.Missions
	Catalogue mapping.Catalogue
	Relations relation.Graph
	Policies  *policy.Set

	policies table.Map[principal.UID, policy.Policy]
	pins     string // hash of model, policies and mapping
}

// Empty returns the snapshot of a tenant before its first revision. Nothing is
// permitted in it.
func Empty(tenant principal.UID) (*Snapshot, error) {
	set, err := policy.Compile(nil)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Tenant: tenant, Policies: set}
	s.pins = s.pin()
	return s, nil
}

// Pins returns the hash of the model, the policies and the mapping in force.
func (s *Snapshot) Pins() string { return s.pins }

// Policy returns a policy by uid.
func (s *Snapshot) Policy(id principal.UID) (policy.Policy, bool) { return s.policies.Get(id) }

func (s *Snapshot) pin() string {
	model, err := json.Marshal(s.Relations.Model())
	if err != nil {
		model = nil // a Model has no member that cannot be encoded
	}
	return proof.Hash([]byte(proof.Hash(model) + s.Policies.Digest() + s.Catalogue.Digest()))
}

// Apply returns s with the rows of one revision. An unknown kind or a body that
// does not decode is an error: a snapshot that skipped a change would answer
// from a state that never was, so its owner must reload or stop.
func (s *Snapshot) Apply(revision int64, rows []ledger.Row) (*Snapshot, error) {
	n := *s
	n.Revision = revision
	meaning, policies := false, false
	for _, r := range rows {
		if err := n.apply(r); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "revision %d: %s %s cannot be applied", revision, r.Kind, r.Key)
		}
		policies = policies || r.Kind == "policy"
		meaning = meaning || r.Kind == "policy" || r.Kind == "model" || r.Kind == "server" || r.Kind == "tool"
	}
	if policies {
		set, err := policy.Compile(n.sortedPolicies())
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "revision %d: policies do not compile", revision)
		}
		n.Policies = set
	}
	if meaning {
		n.pins = n.pin()
	}
	return &n, nil
}

func (s *Snapshot) sortedPolicies() []policy.Policy {
	var ps []policy.Policy
	for _, p := range s.policies.All() {
		ps = append(ps, p)
	}
	sort.Slice(ps, func(i, j int) bool { return ps[i].ID < ps[j].ID })
	return ps
}

func (s *Snapshot) apply(r ledger.Row) error {
	id := principal.UID(r.Key)
	gone := r.Body == nil
	switch r.Kind {
	case "user", "group", "workload", "blueprint", "agent", "context":
		if gone {
			u, _ := s.Directory.User(id)
			s.members("user:"+r.Key, u.Groups, nil)
			w, _ := s.Directory.Workload(id)
			s.members("workload:"+r.Key, w.Groups, nil)
			s.Directory = s.Directory.Without(id)
			return nil
		}
		return s.applyDirectory(r)
	case "mission":
		if gone {
			s.Missions = s.Missions.WithoutMission(id)
			return nil
		}
		return with(r, func(v delegation.Mission) { s.Missions = s.Missions.WithMission(v) })
	case "hop":
		if gone {
			s.Missions = s.Missions.WithoutHop(id)
			return nil
		}
		return with(r, func(v delegation.Hop) { s.Missions = s.Missions.WithHop(v) })
	case "server":
		if gone {
			s.Catalogue = s.Catalogue.WithoutServer(id)
			return nil
		}
		return with(r, func(v mapping.Server) { s.Catalogue = s.Catalogue.WithServer(v) })
	case "tool":
		if gone {
			s.Catalogue = s.Catalogue.WithoutTool(id)
			return nil
		}
		return with(r, func(v mapping.Tool) { s.Catalogue = s.Catalogue.WithTool(v) })
	case "policy":
		if gone {
			s.policies = s.policies.Without(id)
			return nil
		}
		return with(r, func(v policy.Policy) { s.policies = s.policies.With(v.ID, v) })
	case "model":
		if gone {
			s.Relations = s.Relations.WithModel(relation.Model{})
			return nil
		}
		return with(r, func(v relation.Model) { s.Relations = s.Relations.WithModel(v) })
	case "tuple":
		return s.applyTuple(r)
	}
	return fault.New(fault.Internal, "unknown kind of change")
}

func (s *Snapshot) applyDirectory(r ledger.Row) error {
	d := &s.Directory
	switch r.Kind {
	case "user":
		return with(r, func(v directory.User) {
			old, _ := d.User(v.ID)
			s.members("user:"+string(v.ID), old.Groups, v.Groups)
			*d = d.WithUser(v)
		})
	case "group":
		return with(r, func(v directory.Group) { *d = d.WithGroup(v) })
	case "workload":
		return with(r, func(v directory.Workload) {
			old, _ := d.Workload(v.ID)
			s.members("workload:"+string(v.ID), old.Groups, v.Groups)
			*d = d.WithWorkload(v)
		})
	case "blueprint":
		return with(r, func(v directory.Blueprint) { *d = d.WithBlueprint(v) })
	case "agent":
		return with(r, func(v directory.Agent) { *d = d.WithAgent(v) })
	default:
		return with(r, func(v directory.Context) { *d = d.WithContext(v) })
	}
}

// members keeps group membership, which the directory owns, visible to relations
// as group:grp_…#member tuples. They are derived here and nowhere stored, so the
// two cannot disagree.
func (s *Snapshot) members(subject string, old, now []principal.UID) {
	for _, g := range old {
		s.Relations = s.Relations.Without(relation.Tuple{Object: "group:" + string(g), Relation: "member", Subject: subject})
	}
	for _, g := range now {
		s.Relations = s.Relations.With(relation.Tuple{Object: "group:" + string(g), Relation: "member", Subject: subject})
	}
}

// applyTuple reads the tuple from the key when it is deleted: the row then has
// no body.
func (s *Snapshot) applyTuple(r ledger.Row) error {
	if r.Body == nil {
		t, err := relation.ParseTuple(r.Key)
		if err != nil {
			return err
		}
		s.Relations = s.Relations.Without(t)
		return nil
	}
	return with(r, func(v relation.Tuple) { s.Relations = s.Relations.With(v) })
}

func with[T any](r ledger.Row, use func(T)) error {
	var v T
	if err := json.Unmarshal(r.Body, &v); err != nil {
		return err
	}
	use(v)
	return nil
}
