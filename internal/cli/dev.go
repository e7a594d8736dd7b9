package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/cli/orgfile"
	"github.com/ambit-iam/ambit/internal/core/credential"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/server"
)

// seed is the organisation that dev begins with.
//
//go:embed seed
var seed embed.FS

const (
	// devUser is who dev enrols and signs in.
	devUser = "me"
	// renewEvery is how often the token in the ready file is replaced, long before
	// its end: whoever reads it has ten minutes of it at the least.
	renewEvery = 4 * time.Minute
)

// A developing is one run of dev.
type developing struct {
	*app
	data   string
	ready  string // file for other programs, "" for none
	url    string
	person *client.Person
	seeded bool
}

func (a *app) devCommand() *cobra.Command {
	var data, listen, ready string
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a server to play with; this shell is signed in",
		Long: `Runs a server on throw-away data, or on --data, enrols you as its first
administrator, signs your CLI in while it runs, and applies a small organisation:
an agent, a blueprint and a folder of notes behind the gateway. Edit its org.yaml
and apply it again.

For development only: whatever runs as your user can read the data directory and
the keys in it. The same uid is not a boundary.`,
		Example: "  ambit dev\n  ambit dev --data ./play --listen 127.0.0.1:0 --ready-file ready.json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d := &developing{app: a, data: data, ready: ready}
			if data == "" {
				if d.data, err = os.MkdirTemp("", "ambit-dev-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(d.data)) }()
			}
			if d.data, err = filepath.Abs(d.data); err != nil {
				return err
			}
			return d.run(cmd.Context(), cmp.Or(listen, server.DefaultListen), data == "")
		},
	}
	f := c.Flags()
	f.StringVar(&data, "data", "", "data directory to keep (default: one that is removed at exit)")
	f.StringVar(&listen, "listen", "", "address, host:port; port 0 picks one (default "+server.DefaultListen+")")
	f.StringVar(&ready, "ready-file", "", `file that gets {"url","issuer","workload_socket","admin_token"} once all is set up`)
	return c
}

func (d *developing) run(ctx context.Context, listen string, throwAway bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := os.MkdirAll(d.data, 0o700); err != nil {
		return fault.Wrap(fault.NotFound, err, "the data directory cannot be made: %v", err)
	}
	serving := filepath.Join(d.data, "ready.json")
	if err := os.Remove(serving); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, server.Config{Data: d.data, Listen: listen, ReadyFile: serving, Version: release, SignIn: credential.MaxSignIn,
			Logger: quiet(d.stderr)})
	}()
	file, err := await(serving, ended)
	if err != nil || file == nil {
		return err
	}
	restore, err := d.prepare(ctx, file)
	if err == nil {
		d.welcome(throwAway)
		err = d.hold(ctx, file, ended)
		ended <- nil // it has ended, and was heard
	}
	stop()
	return errors.Join(err, restore(), <-ended)
}

// await waits until the server wrote its ready file, and returns it. Both are nil
// when the server was stopped first.
func await(path string, ended chan error) ([]byte, error) {
	for {
		b, err := os.ReadFile(path)
		if err == nil {
			return b, nil
		}
		select {
		case err := <-ended:
			return nil, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// prepare enrols, signs in and seeds. restore, which is never nil, undoes what
// must not outlive the server.
func (d *developing) prepare(ctx context.Context, file []byte) (restore func() error, err error) {
	restore = func() error { return nil }
	var at struct{ Issuer string }
	if err := json.Unmarshal(file, &at); err != nil {
		return restore, err
	}
	d.url = at.Issuer
	keyFile := filepath.Join(d.data, devUser+".key")
	key, made, err := keyAt(keyFile)
	if err != nil {
		return restore, err
	}
	d.person = &client.Person{Issuer: d.url, ID: devUser, Key: key}
	if made {
		if _, err := knock(ctx, d.data, devUser, "", key); err != nil {
			return restore, errors.Join(err, os.Remove(keyFile))
		}
	}
	if restore, err = d.borrow(profile{URL: d.url, User: devUser, Key: keyFile}); err != nil {
		return restore, err
	}
	if err := d.plant(ctx, made); err != nil {
		return restore, err
	}
	return restore, d.announce(ctx, file)
}

// borrow puts dev's profile in the place of whatever there is, and returns how to
// give it back. A profile that somebody else wrote meanwhile stays.
func (d *developing) borrow(p profile) (func() error, error) {
	path, err := d.profilePath()
	if err != nil {
		return func() error { return nil }, err
	}
	before, err := os.ReadFile(path)
	had := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, err
	}
	if err := d.saveProfile(p); err != nil {
		return func() error { return nil }, err
	}
	mine, err := os.ReadFile(path)
	return func() error {
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, mine) {
			return nil
		}
		if had {
			return writeFile(path, before)
		}
		return os.Remove(path)
	}, err
}

// plant writes the seeded organisation beside the data, once, and applies it.
func (d *developing) plant(ctx context.Context, first bool) error {
	file := filepath.Join(d.data, "org.yaml")
	if !first {
		_, err := os.Stat(file)
		d.seeded = err == nil
		return nil
	}
	key, _, err := keyAt(filepath.Join(d.data, "assistant.key"))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(d.data, "assistant.jwk"), key.Public()); err != nil {
		return err
	}
	me, err := os.Executable()
	if err != nil {
		return err
	}
	for _, dir := range []string{"notes", "policies"} {
		if err := os.MkdirAll(filepath.Join(d.data, dir), 0o700); err != nil {
			return err
		}
	}
	err = fs.WalkDir(seed, "seed", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := seed.ReadFile(path)
		if err != nil {
			return err
		}
		quoted, err := encode(me)
		if err != nil {
			return err
		}
		b = bytes.ReplaceAll(b, []byte(`"@ambit@"`), quoted)
		return writeFile(filepath.Join(d.data, strings.TrimPrefix(path, "seed/")), b)
	})
	if err != nil {
		return err
	}
	f, err := orgfile.Load(file)
	if err != nil {
		return err
	}
	d.seeded = true
	return d.person.Do(ctx, "POST", "/api/v1/apply", map[string]any{"document": f.Document}, nil)
}

// announce writes the ready file: the server's, with a token for the API.
func (d *developing) announce(ctx context.Context, file []byte) error {
	if d.ready == "" {
		return nil
	}
	var v map[string]string
	if err := json.Unmarshal(file, &v); err != nil {
		return err
	}
	token, err := bearer(ctx, d.person)
	if err != nil {
		return err
	}
	v["admin_token"] = token
	b, err := encode(v)
	if err != nil {
		return err
	}
	return writeFile(d.ready, append(b, '\n'))
}

// bearer signs in without a proof of possession (RFC 7523), for scripts that
// have nothing but curl.
func bearer(ctx context.Context, p *client.Person) (string, error) {
	now := time.Now()
	assertion, err := p.Key.Sign("ambit-login+jwt", map[string]any{"iss": p.ID, "sub": p.ID, "aud": p.Issuer,
		"jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()})
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}, "resource": {p.Issuer + "/api"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var a struct {
		Token string `json:"access_token"`
		Says  string `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&a); err != nil || a.Token == "" {
		return "", fault.New(fault.Unauthenticated, "the token endpoint did not sign %s in: %s %s", p.ID, res.Status, a.Says)
	}
	return a.Token, nil
}

// hold keeps the token in the ready file alive until the server ends.
func (d *developing) hold(ctx context.Context, file []byte, ended chan error) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if err := d.announce(ctx, file); err != nil {
				d.say("the token in %s was not renewed: %v", d.ready, err)
			}
		}
	}
}

func (d *developing) welcome(throwAway bool) {
	kept := ""
	if throwAway {
		kept = " (removed at exit)"
	}
	d.text(d.stdout, func(w io.Writer) {
		fmt.Fprintf(w, "Ambit %s · embedded store · you are user:%s and signed in while this runs\n", release, devUser)
		row(w, "api", d.url+"/api/v1   described at "+d.url+"/openapi.json")
		row(w, "gateway", d.url+"/mcp/{server}")
		row(w, "data", d.data+kept)
		if d.seeded {
			row(w, "try", strings.Join([]string{
				`ambit can assistant notes.read_note note:welcome --why`,
				`ambit can assistant notes.write_note --arg name=welcome --arg text=hello`,
				`ambit mission start --agent assistant --intent "read my notes" --for 1h --out mission.jws`,
				`ambit token --key ` + filepath.Join(d.data, "assistant.key") + ` --statement mission.jws --server notes`,
				`ambit apply -f ` + filepath.Join(d.data, "org.yaml"),
			}, "\n"))
		}
		row(w, "beware", "development only: what runs as your user can read these keys; the same uid is not a boundary")
		row(w, "stop", "Ctrl-C")
	})
}
