package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ambit-iam/ambit/client"
	"github.com/ambit-iam/ambit/internal/fault"
)

// report says on stderr what went wrong, where, why, and what to do next, and
// returns the exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	if q, ok := errors.AsType[quit](err); ok {
		return q.code
	}
	if interrupted(ctx, err) {
		a.say("interrupted")
		return exitInterrupted
	}
	if u, ok := errors.AsType[usage](err); ok {
		a.trouble(cmd, u.says, "", cmd.CommandPath()+" --help")
		return exitUsage
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return a.answered(cmd, e)
	}
	if fault.KindOf(err) != fault.Internal {
		message, hint := fault.Safe(err)
		a.trouble(cmd, message, "", hint)
		return exitError
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		a.trouble(cmd, "the server does not answer: "+u.Err.Error(), u.URL, "ambit dev or ambit serve starts one; --url names another")
		return exitError
	}
	a.trouble(cmd, err.Error(), "", "")
	return exitError
}

// answered renders what a server said in place of what was asked.
func (a *app) answered(cmd *cobra.Command, e *client.Error) int {
	var d decision
	if len(e.Decision) > 0 && json.Unmarshal(e.Decision, &d) == nil && d.Outcome != "" {
		a.text(a.stderr, func(w io.Writer) {
			who := strings.Replace(d.Name, " ", ":", 1)
			d.refusal(w, who+" may not do this: "+cmd.CommandPath(), who+" needs approval for "+cmd.CommandPath())
		})
		return d.exit()
	}
	message := e.Message
	if message == "" {
		message = http.StatusText(e.Status)
	}
	hint := e.Hint
	if hint == "" && (e.Status == http.StatusUnauthorized || e.Code == "invalid_grant" && cmd.Name() != "token") {
		hint = "check who you are (--user, --key): ambit whoami"
	}
	at := fmt.Sprintf("the server's answer (%d", e.Status)
	if e.Code != "" {
		at += " " + e.Code
	}
	a.trouble(cmd, message, at+")", hint)
	switch {
	case failedTests(message):
		return exitDifferent
	case e.Code == fault.Denied.String() || e.Code == "access_denied":
		return exitDenied
	}
	return exitError
}

// trouble prints the four parts: what, why, where and next. A message of several
// lines, or one that begins with a place in a file, stands on its own, so that
// editors and terminals find the places.
func (a *app) trouble(cmd *cobra.Command, why, where, next string) {
	a.text(a.stderr, func(w io.Writer) {
		why = strings.TrimRight(why, "\n")
		if strings.Contains(why, "\n") || placed(why) {
			fmt.Fprintf(w, "%s:\n%s\n", cmd.CommandPath(), why)
		} else {
			fmt.Fprintf(w, "%s: %s\n", cmd.CommandPath(), why)
		}
		row(w, "where", where)
		row(w, "next", next)
	})
}

// row prints one labelled line, or nothing when there is nothing to say.
func row(w io.Writer, label, text string) {
	if text != "" {
		fmt.Fprintf(w, "%-9s %s\n", label, strings.ReplaceAll(text, "\n", "\n          "))
	}
}
