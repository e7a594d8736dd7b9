package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
)

// defaultURL is where a server listens unless told otherwise.
const defaultURL = "http://127.0.0.1:8420"

// A profile says which server this user of the machine speaks to, as whom, and
// with which key. It is a file of mode 0600 and holds no secret itself.
type profile struct {
	URL  string `yaml:"url"`
	User string `yaml:"user"`
	Key  string `yaml:"key"` // path of the private key's file
}

// configDir is AMBIT_CONFIG_DIR, or "ambit" in the user's configuration.
func (a *app) configDir() (string, error) {
	if dir := a.getenv("AMBIT_CONFIG_DIR"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "there is no folder for the profile: %v", err).WithHint("set AMBIT_CONFIG_DIR")
	}
	return filepath.Join(dir, "ambit"), nil
}

func (a *app) profilePath() (string, error) {
	dir, err := a.configDir()
	return filepath.Join(dir, "profile.yaml"), err
}

// profile reads the profile; one that is not there is empty.
func (a *app) profile() (profile, error) {
	var p profile
	path, err := a.profilePath()
	if err != nil {
		return p, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fault.Wrap(fault.NotFound, err, "the profile cannot be read: %v", err)
	}
	return p, settings(path, "the profile", data, map[string]*string{"url": &p.URL, "user": &p.User, "key": &p.Key})
}

// saveProfile signs this user of the machine in: commands without flags are
// theirs from now on.
func (a *app) saveProfile(p profile) error {
	path, err := a.profilePath()
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.Wrap(fault.NotFound, err, "the profile's folder cannot be made: %v", err)
	}
	return writeFile(path, data)
}

// chosen is who and where, of flags, environment and profile, in this order.
func (a *app) chosen() (profile, error) {
	p, err := a.profile()
	if err != nil {
		return p, err
	}
	p.URL = strings.TrimSuffix(cmp.Or(a.url, a.getenv("AMBIT_URL"), p.URL), "/")
	p.User = cmp.Or(a.user, a.getenv("AMBIT_USER"), p.User)
	p.Key = cmp.Or(a.key, a.getenv("AMBIT_KEY"), p.Key)
	return p, nil
}

// person is who speaks to the management API.
func (a *app) person() (*client.Person, error) {
	p, err := a.chosen()
	if err != nil {
		return nil, err
	}
	if p.URL == "" || p.User == "" || p.Key == "" {
		return nil, fault.New(fault.Unauthenticated, "you are not signed in: no server, user or key is known").
			WithHint("ambit dev, or ambit user enrol HANDLE --data DIR, or --url, --user and --key")
	}
	key, err := client.LoadKey(p.Key)
	if err != nil {
		return nil, fault.Wrap(fault.Unauthenticated, err, "your key: %v", err).WithHint("ambit key new FILE makes one; an administrator enrols it")
	}
	return &client.Person{Issuer: p.URL, ID: p.User, Key: key}, nil
}
