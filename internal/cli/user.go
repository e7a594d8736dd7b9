package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/server"
)

func (a *app) userCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Enrol people"}
	var data, name string
	enrol := &cobra.Command{
		Use:   "enrol HANDLE --data DIR",
		Short: "Become the first administrator of a server",
		Long: `Enrols the first administrator of the server that runs on DIR, through the
socket in DIR that only the server's own user may open, and signs you in by
writing your profile. It works once; everybody else is enrolled by an
administrator, with their public key in the organisation's file.

--key names your private key; it is made when it is not there.`,
		Example: "  ambit serve --data ./data &\n  ambit user enrol ann --data ./data",
		Args:    takes("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "data"); err != nil {
				return err
			}
			return a.enrol(cmd.Context(), args[0], name, data)
		},
	}
	enrol.Flags().StringVar(&data, "data", "", "data directory of the server")
	enrol.Flags().StringVar(&name, "name", "", "your name, for people to read")
	c.AddCommand(enrol)
	return c
}

func (a *app) enrol(ctx context.Context, handle, name, data string) error {
	dir, err := a.configDir()
	if err != nil {
		return err
	}
	// Not chosen(): the profile is about to be another one.
	p := profile{User: handle, Key: cmp.Or(a.key, a.getenv("AMBIT_KEY"), filepath.Join(dir, handle+".key"))}
	if p.Key, err = filepath.Abs(p.Key); err != nil {
		return err
	}
	key, made, err := keyAt(p.Key)
	if err != nil {
		return err
	}
	c, err := knock(ctx, data, handle, name, key)
	if err != nil {
		if made { // it is nobody's
			err = errors.Join(err, os.Remove(p.Key))
		}
		return err
	}
	// The door is the server's own: it knows its address.
	p.URL = cmp.Or(a.url, a.getenv("AMBIT_URL"), c.Issuer, defaultURL)
	if err := a.saveProfile(p); err != nil {
		return err
	}
	err = a.changed(c)
	a.say("signed in to %s as %s; key %s", p.URL, handle, p.Key)
	who := &client.Person{Issuer: p.URL, ID: handle, Key: key}
	if werr := who.Do(ctx, http.MethodGet, "/api/v1/whoami", nil, nil); werr != nil {
		a.say("but %s does not know you: %v\nnext      if the server is at another address: --url URL, or url in the profile", p.URL, werr)
	}
	return err
}

// keyAt loads the key of a path, or makes one where there is none.
func keyAt(path string) (k *client.Key, made bool, err error) {
	k, err = client.LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	if k, err = client.NewKey(); err != nil {
		return nil, false, err
	}
	return k, true, k.Save(path)
}

// knock enrols the first administrator through the local door of a server.
func knock(ctx context.Context, data, handle, name string, key *client.Key) (changed, error) {
	var c changed
	door := filepath.Join(data, server.DoorName)
	h := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", door)
		}}}
	body, err := encode(map[string]any{"handle": handle, "name": name, "jwk": key.Public()})
	if err != nil {
		return c, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://door/enrol", bytes.NewReader(body))
	if err != nil {
		return c, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := h.Do(req)
	if err != nil {
		return c, fault.Wrap(fault.Unavailable, err, "no server runs on %s: %v", data, errors.Unwrap(err)).
			WithHint("ambit serve --data %s", data)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return c, err
	}
	if res.StatusCode != http.StatusOK {
		e := &client.Error{Status: res.StatusCode}
		var q struct{ Code, Detail, Hint string }
		if json.Unmarshal(b, &q) == nil {
			e.Code, e.Message, e.Hint = q.Code, q.Detail, q.Hint
		}
		return c, e
	}
	return c, json.Unmarshal(b, &c)
}
