package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What the clinician asks for, and how long it lasts.
const (
	intent   = "draft the discharge note for encounter E1"
	lasting  = 4 * time.Hour
	handedOn = 10 * time.Minute
	maxCalls = 40
)

// A plot is the story as it unfolds: each step is done, measured, checked against
// what the story says, and told.
type plot struct {
	stage *stage
	show  *show

	// Of the signed mission: uids, and the statement as a compact JWS.
	mission, clinician, assistant string
	statement                     string
	sub                           string // uid of the sub-agent
	allowed, refused              int64  // calls so far
}

// cast names the links of the chain.
var cast = [...]string{"clinician", "assistant", "sub-agent"}

// A want is what a call comes to when the story is true.
type want struct {
	outcome string
	link    int
	stage   string
}

var allow = want{outcome: "allow"}

func deny(link int, stage string) want { return want{"deny", link, stage} }

func (w want) String() string {
	if w.outcome == "allow" {
		return "ALLOW"
	}
	return fmt.Sprintf("%s at link %d, %s", strings.ToUpper(w.outcome), w.link, w.stage)
}

// run runs every step in order and stops at the first that comes out otherwise
// than the story says.
func (p *plot) run(ctx context.Context) error {
	for i, step := range []func(context.Context, int) error{p.sign, p.take, p.readOwn, p.readOther, p.handOn, p.writeNote, p.withdraw, p.replay, p.verify} {
		if err := step(ctx, i+1); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// sign opens the encounter, and lets the clinician sign a mission in it.
func (p *plot) sign(ctx context.Context, n int) error {
	p.show.doing("opening encounter E1")
	err := p.stage.feed.Do(ctx, "POST", "/api/v1/contexts:open", map[string]any{"type": "encounter", "handle": "E1",
		"attributes": map[string]string{"patient": "P1"}}, nil)
	if err != nil {
		return err
	}
	start := time.Now()
	var draft json.RawMessage
	err = p.stage.clinician.Do(ctx, "POST", "/api/v1/missions:draft", map[string]any{
		"agent": "assistant", "intent": intent, "context": "encounter/E1", "for": int64(lasting / time.Second),
		"limits": map[string]any{"calls": maxCalls},
		"authority": []map[string]any{
			{"type": "mcp_tool", "server": "records", "actions": []string{"read"}, "arguments": map[string]any{
				"patient": map[string]any{"exact": "P1"}, "kind": map[string]any{"any": true, "optional": true}}},
			{"type": "mcp_tool", "server": "records", "actions": []string{"write_note"}, "arguments": map[string]any{
				"encounter": map[string]any{"exact": "E1"}, "text": map[string]any{"any": true}}},
		}}, &draft)
	if err != nil {
		return err
	}
	var st struct {
		Agent   string `json:"sub"`
		Signer  string `json:"iss"`
		Mission string `json:"mission"`
		Expiry  int64  `json:"exp"`
	}
	if err := json.Unmarshal(draft, &st); err != nil {
		return err
	}
	signed, err := p.stage.clinician.SignMission(draft)
	if err != nil {
		return err
	}
	if err := p.stage.clinician.Do(ctx, "POST", "/api/v1/missions", map[string]string{"statement": signed}, nil); err != nil {
		return err
	}
	p.mission, p.clinician, p.assistant, p.statement = st.Mission, st.Signer, st.Agent, signed
	p.show.tell(line{step: n, text: fmt.Sprintf("clinician signs a mission for the assistant: %q", intent), took: ms(time.Since(start))})
	p.show.tell(line{text: "authority  ", why: fmt.Sprintf("read records of patient P1 · write notes of E1 · while E1 is open · until %s · %d calls",
		time.Unix(st.Expiry, 0).UTC().Format("15:04 UTC"), maxCalls)})
	return nil
}

// take lets the assistant take the mission.
func (p *plot) take(ctx context.Context, n int) error {
	p.show.doing("the assistant takes the mission")
	start := time.Now()
	a, err := p.stage.assistant.ask(ctx, order{Do: "take", Issuer: p.stage.issuer, Server: "records", Agent: p.assistant, Statement: p.statement})
	if err != nil {
		return err
	}
	took := time.Since(start)
	if seen := strings.Join(a.Tools, ", "); a.Mission != p.mission || seen != "read, write_note" {
		return fmt.Errorf("the assistant took mission %s and sees the tools %s; the story says %s and read, write_note", a.Mission, seen, p.mission)
	}
	p.show.tell(line{step: n, text: "assistant proves itself with a key that only its process holds, and takes the mission", took: ms(took)})
	p.show.tell(line{why: "of the four tools of records its MCP client is shown two: " + strings.Join(a.Tools, ", ")})
	return nil
}

func (p *plot) readOwn(ctx context.Context, n int) error {
	return p.read(ctx, n, "", "P1", "labs", allow, time.Time{})
}

func (p *plot) readOther(ctx context.Context, n int) error {
	return p.read(ctx, n, "", "P2", "labs", deny(1, "ceiling"), time.Time{})
}

// read lets an agent read records.
func (p *plot) read(ctx context.Context, n int, who, patient, kind string, w want, event time.Time) error {
	return p.call(ctx, line{step: n, text: "records.read " + patient + "/" + kind},
		order{To: who, Do: "call", Tool: "read", Arguments: map[string]any{"patient": patient, "kind": kind}}, w, event)
}

// handOn makes the assistant start a sub-agent and hand it a narrower part.
func (p *plot) handOn(ctx context.Context, n int) error {
	p.show.doing("the assistant starts a sub-agent")
	start := time.Now()
	a, err := p.stage.assistant.ask(ctx, order{Do: "delegate", Tool: "read", Arguments: map[string]any{"patient": "P1"}, Seconds: int64(handedOn / time.Second)})
	if err != nil {
		return err
	}
	took := time.Since(start)
	p.sub = a.Agent
	if !slices.Equal(a.Tools, []string{"read"}) || a.PID == p.stage.assistant.hello.PID {
		return fmt.Errorf("the sub-agent, process %d, sees the tools %s; the story says a process of its own that sees read", a.PID, strings.Join(a.Tools, ", "))
	}
	p.show.tell(line{step: n, text: "assistant delegates to a sub-agent, a process with its own key: read only, P1, 10 minutes", took: ms(took)})
	return p.read(ctx, 0, "sub-agent", "P1", "vitals", allow, time.Time{})
}

// writeNote has the sub-agent try what was not handed on, and the assistant do it.
func (p *plot) writeNote(ctx context.Context, n int) error {
	o := order{Do: "call", Tool: "write_note", Arguments: map[string]any{"encounter": "E1", "text": "Discharged well. Labs and vitals within range."}}
	sub := o
	sub.To = "sub-agent"
	if err := p.call(ctx, line{step: n, text: "records.write_note E1"}, sub, deny(2, "ceiling"), time.Time{}); err != nil {
		return err
	}
	return p.call(ctx, line{text: "records.write_note E1"}, o, allow, time.Time{})
}

// withdraw takes away, one after the other, what the sub-agent's reading rests
// on: the clinician's own right, and the encounter.
func (p *plot) withdraw(ctx context.Context, n int) error {
	team := []map[string]string{{"object": "patient:P1", "relation": "care_team", "subject": "user:clinician"}}
	for _, step := range []struct {
		line line
		do   func() error
		want want
	}{
		{line{step: n, text: "clinician leaves the care team of P1"}, func() error {
			return p.stage.lead.Do(ctx, "POST", "/api/v1/relations:write", map[string]any{"delete": team}, nil)
		}, deny(0, "entitlement")},
		{line{text: "clinician is back on the care team"}, func() error {
			return p.stage.lead.Do(ctx, "POST", "/api/v1/relations:write", map[string]any{"write": team}, nil)
		}, allow},
		{line{text: "encounter E1 is closed"}, func() error {
			return p.stage.feed.Do(ctx, "POST", "/api/v1/contexts:close", map[string]any{"type": "encounter", "handle": "E1"}, nil)
		}, deny(1, "mandate")},
	} {
		// From when it is asked for: what is shown is never less than what passed.
		event := time.Now()
		if err := step.do(); err != nil {
			return err
		}
		p.show.tell(step.line)
		if err := p.read(ctx, 0, "sub-agent", "P1", "vitals", step.want, event); err != nil {
			return err
		}
	}
	return nil
}

// call gives an agent a call to make, checks what became of it, and tells it.
// event is when something happened that the call shows the effect of.
func (p *plot) call(ctx context.Context, l line, o order, w want, event time.Time) error {
	l.text = cmp.Or(o.To, "assistant") + " → " + l.text
	a, err := p.stage.assistant.ask(ctx, o)
	if err != nil {
		return err
	}
	if a.Call == nil {
		return fmt.Errorf("%s: the agent did not say what became of it", l.text)
	}
	got := want{outcome: a.Call.Outcome, link: a.Call.Link, stage: a.Call.Stage}
	if got != w {
		return fmt.Errorf("%s\nthe story says  %s\nit came to      %s  %s", l.text, w, got, a.Call.Reason)
	}
	l.took = ms(a.Call.Took)
	if !event.IsZero() && w != allow {
		l.took = ms(time.Since(event)) + " after it"
	}
	if w != allow {
		p.refused++
		l.verdict = "DENY"
		l.why = fmt.Sprintf("link %d, %s · %s: %s", got.link, cast[got.link], got.stage, brief(a.Call.Reason, o))
		p.show.tell(l)
		return nil
	}
	p.allowed++
	l.verdict = "ALLOW"
	if l.why, err = p.because(ctx, o); err != nil {
		return err
	}
	p.show.tell(l)
	return nil
}

// because asks why a call that was allowed is, as its owner may: the agent itself
// is told only that it is. The question is decided anew, a moment later.
func (p *plot) because(ctx context.Context, o order) (string, error) {
	who := p.assistant
	if o.To != "" {
		who = p.sub
	}
	q := map[string]any{"agent": who, "action": "records." + o.Tool, "arguments": o.Arguments, "mission": p.mission}
	var v verdict
	if err := p.stage.lead.Do(ctx, "POST", "/api/v1/can", q, &v); err != nil {
		return "", err
	}
	var facts []string
	acting := ""
	for _, f := range v.Findings {
		switch {
		case !f.Passed || f.Link >= len(cast):
			return "", fmt.Errorf("the call was allowed, and asked about it: link %d, %s: %s", f.Link, f.Stage, f.Reason)
		case f.Stage == "entitlement":
			facts = append(facts, cast[f.Link]+": "+f.Reason)
		case f.Stage == "ceiling":
			acting = cast[f.Link] // the last is the narrowest: nothing above it holds less
		}
	}
	facts = append(facts, acting+": within the "+map[bool]string{false: "mission", true: "delegation"}[o.To != ""])
	return strings.Join(facts, " · "), nil
}

// brief drops from a reason what its line says already: the call, and what was
// delegated.
func brief(reason string, o order) string {
	reason, _, _ = strings.Cut(reason, ": ")
	_, after, found := strings.Cut(reason, " is ")
	if found && strings.HasPrefix(reason, "records."+o.Tool) {
		return after
	}
	return reason
}
