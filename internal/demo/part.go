package demo

import (
	"context"
	"io"

	"github.com/ambit-iam/ambit/internal/fault"
)

// Part plays one of the parts that Run starts as processes of their own, until
// stdin or ctx ends: "records DATA TOKEN-FILE", "assistant SELF DIR" or
// "sub-agent". Nobody else has a use for it.
func Part(ctx context.Context, args []string, stdin io.Reader, stdout, _ io.Writer) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch {
	case name == "records" && len(args) == 3:
		return playRecords(ctx, args[1], args[2], stdin, stdout)
	case name == "assistant" && len(args) == 3:
		return playAssistant(ctx, args[1], args[2], stdin, stdout)
	case name == "sub-agent" && len(args) == 1:
		return playDelegate(ctx, stdin, stdout)
	}
	return fault.New(fault.Malformed, "%q is no part of the demo", name).WithHint("run: ambit demo")
}
