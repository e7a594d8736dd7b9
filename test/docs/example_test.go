package docs

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/ambit-iam/ambit/client"
)

// take is what docs/tokens.md shows of an agent.
func take(ctx context.Context, issuer, agentID, statement string) (*client.Mission, *http.Client, error) {
	key, err := client.LoadKey("assistant.key")
	if err != nil {
		return nil, nil, err
	}
	assistant := &client.Agent{Issuer: issuer, ID: agentID, Key: key}
	mission, err := assistant.Take(ctx, statement, "notes")
	if err != nil {
		return nil, nil, err
	}
	return mission, mission.HTTPClient("notes"), nil
}

// handOn is what docs/tokens.md shows of sub-agents.
func handOn(ctx context.Context, issuer, blueprint string, authority json.RawMessage, mission *client.Mission) (*http.Client, error) {
	sub, err := client.NewDelegate(issuer)
	if err != nil {
		return nil, err
	}
	offer, err := sub.Offer()
	if err != nil {
		return nil, err
	}
	handover, err := mission.Delegate(ctx, offer, client.Narrow{
		Blueprint: blueprint, Authority: authority, For: 10 * time.Minute, Server: "notes"})
	if err != nil {
		return nil, err
	}
	return sub.Accept(handover).HTTPClient("notes"), nil
}

// They need a server; that they compile is what is tested here.
var _, _ = take, handOn
