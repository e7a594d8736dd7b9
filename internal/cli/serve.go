package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/internal/fault"
	"github.com/ambit-iam/ambit/internal/server"
)

func (a *app) serveCommand() *cobra.Command {
	var config, data, listen, issuer, ready string
	c := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Run a server",
		Long: `Runs a server until it is interrupted. Its data directory holds the store, the
keys and the socket through which the first administrator enrols.

--config names a YAML file with any of data, listen and issuer; unknown keys are
refused, and data is relative to the file's folder. Flags win over it.`,
		Example: "  ambit serve --data /var/lib/ambit --issuer https://ambit.example.org\n  ambit serve --config ambit.yaml --listen 127.0.0.1:0 --ready-file ready.json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := server.Config{Data: data, Listen: listen, Issuer: issuer, ReadyFile: ready, Version: release, Logger: a.logger()}
			if config != "" {
				f, err := readConfig(config)
				if err != nil {
					return err
				}
				c.Data, c.Listen, c.Issuer = cmp.Or(data, f.Data), cmp.Or(listen, f.Listen), cmp.Or(issuer, f.Issuer)
			}
			if c.Data == "" {
				return usage{"--data is missing, and no --config says where the data is"}
			}
			return run(cmd.Context(), c)
		},
	}
	f := c.Flags()
	f.StringVar(&config, "config", "", "YAML file with data, listen and issuer")
	f.StringVar(&data, "data", "", "data directory; made at the first start")
	f.StringVar(&listen, "listen", "", "address, host:port; port 0 picks one (default "+server.DefaultListen+")")
	f.StringVar(&issuer, "issuer", "", "public URL, for good (default: the address listened on)")
	f.StringVar(&ready, "ready-file", "", `file that gets {"url","issuer","workload_socket"} once the server serves`)
	return c
}

// readConfig reads the server's configuration file.
func readConfig(name string) (server.Config, error) {
	var c server.Config
	b, err := os.ReadFile(name)
	if err != nil {
		return c, fault.Wrap(fault.NotFound, err, "the config cannot be read: %v", err)
	}
	err = settings(name, "the config", b, map[string]*string{"data": &c.Data, "listen": &c.Listen, "issuer": &c.Issuer})
	if err == nil && c.Data != "" && !filepath.IsAbs(c.Data) {
		c.Data = filepath.Join(filepath.Dir(name), c.Data)
	}
	return c, err
}

// run is server.Run with the errors that people meet first explained.
func run(ctx context.Context, c server.Config) error {
	err := server.Run(ctx, c)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(fault.Conflict, err, "%s is in use: something listens there already", cmp.Or(c.Listen, server.DefaultListen)).
			WithHint("--listen 127.0.0.1:0 picks a free port")
	}
	return err
}

// logger writes the server's log to stderr: text to a terminal, else JSON.
func (a *app) logger() *slog.Logger {
	if terminal(a.stderr) {
		return slog.New(slog.NewTextHandler(a.stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(a.stderr, nil))
}

// quiet is a log of what a person at a terminal should know: warnings and worse.
func quiet(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
