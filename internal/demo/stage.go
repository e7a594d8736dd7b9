package demo

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ambit-iam/ambit/client"
)

// org is the organisation of the story, as somebody would keep it in git, and the
// records that its server begins with.
//
//go:embed org
var org embed.FS

// startTime bounds how long the server may take to serve.
const startTime = 20 * time.Second

// A stage is everything that the story needs: the processes, the people with
// their keys, and a folder that holds all of it.
type stage struct {
	dir, self string
	issuer    string
	server    *process
	records   *peer
	assistant *peer

	lead, clinician, feed *client.Person
}

// path names something in the stage's folder.
func (s *stage) path(names ...string) string {
	return filepath.Join(append([]string{s.dir}, names...)...)
}

// set sets the stage: processes up, keys made, organisation applied. What it
// started is the caller's to strike, also when it fails.
func (s *stage) set(ctx context.Context, show *show) (err error) {
	if s.dir, err = os.MkdirTemp("", "ambit-demo-"); err != nil {
		return err
	}
	show.doing("starting a server, a records server and an assistant")
	for _, dir := range []string{"org", "org/keys", "org/policies", "config", "keys"} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.path("org", "records.token"), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{s.startServer, s.startRecords, s.startAssistant, s.ready, s.enrol} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	show.doing("applying the organisation's file")
	_, err = s.ambit(ctx, "apply", "-f", s.path("org", "org.yaml"))
	return err
}

func (s *stage) startServer(context.Context) error {
	s.server = newProcess("server", s.dir, s.self, "serve", "--data", s.path("data"), "--listen", "127.0.0.1:0", "--ready-file", s.path("ready.json"))
	if err := s.server.start(); err != nil {
		s.server = nil
		return err
	}
	return nil
}

func (s *stage) startRecords(ctx context.Context) (err error) {
	if err := s.place("org/records.json", nil); err != nil {
		return err
	}
	s.records, err = engage(ctx, newProcess("records", s.dir, s.self, "demo-part", "records", s.path("org", "records.json"), s.path("org", "records.token")))
	return err
}

func (s *stage) startAssistant(ctx context.Context) (err error) {
	s.assistant, err = engage(ctx, newProcess("assistant", s.dir, s.self, "demo-part", "assistant", s.self, s.dir))
	return err
}

// ready waits until the server serves.
func (s *stage) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(s.path("ready.json"))
		if err == nil {
			var r struct {
				Issuer string `json:"issuer"`
			}
			err = json.Unmarshal(b, &r)
			s.issuer = r.Issuer
			return err
		}
		select {
		case <-s.server.gone:
			return s.server.died(err)
		case <-ctx.Done():
			return fmt.Errorf("the server did not serve within %s: %w", startTime, ctx.Err())
		case <-tick.C:
		}
	}
}

// enrol makes the keys of the people and the feed, makes lead the first
// administrator at the server's local door, and writes the organisation's file
// with the public halves beside it: those of the agents came from their processes.
func (s *stage) enrol(ctx context.Context) (err error) {
	for name, who := range map[string]**client.Person{"lead": &s.lead, "clinician": &s.clinician, "encounter-feed": &s.feed} {
		key, err := client.NewKey()
		if err != nil {
			return err
		}
		err = errors.Join(key.Save(s.path("keys", name+".key")), os.WriteFile(s.path("org", "keys", name+".jwk"), key.Public(), 0o600))
		if err != nil {
			return err
		}
		*who = &client.Person{Issuer: s.issuer, ID: name, Key: key}
	}
	if err := os.WriteFile(s.path("org", "keys", "assistant.jwk"), s.assistant.hello.Key, 0o600); err != nil {
		return err
	}
	if _, err := s.ambit(ctx, "user", "enrol", "lead", "--data", s.path("data"), "--url", s.issuer, "--key", s.path("keys", "lead.key")); err != nil {
		return err
	}
	return fs.WalkDir(org, "org", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "org/records.json" {
			return err
		}
		return s.place(name, strings.NewReplacer("RECORDS_URL", s.records.hello.URL))
	})
}

// place puts an embedded file into the stage's folder.
func (s *stage) place(name string, with *strings.Replacer) error {
	b, err := org.ReadFile(name)
	if err != nil {
		return err
	}
	if with != nil {
		b = []byte(with.Replace(string(b)))
	}
	return os.WriteFile(s.path(filepath.FromSlash(name)), b, 0o600)
}

// ambit runs a command of the product as lead.
func (s *stage) ambit(ctx context.Context, args ...string) (string, error) {
	return command(ctx, s.self, []string{"AMBIT_CONFIG_DIR=" + s.path("config")}, args...)
}

// dismiss ends the agents: first the assistant, which ends its sub-agent.
func (s *stage) dismiss() {
	if s.assistant != nil {
		s.assistant.stop(2 * grace)
	}
}

// strike ends every process, in reverse, and removes the folder.
func (s *stage) strike() error {
	s.dismiss()
	if s.server != nil {
		s.server.stop(2 * grace)
	}
	if s.records != nil {
		s.records.stop(grace)
	}
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
