package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
)

func (e Entity) uid() cedar.EntityUID {
	return cedar.NewEntityUID(cedar.EntityType(e.Type), cedar.String(e.ID))
}

// valueOf returns a Go value as a Cedar value: string, int, int64, bool, Entity,
// and slices and maps of these.
func valueOf(v any) (cedar.Value, error) {
	switch v := v.(type) {
	case string:
		return cedar.String(v), nil
	case int:
		return cedar.Long(v), nil
	case int64:
		return cedar.Long(v), nil
	case bool:
		return cedar.Boolean(v), nil
	case Entity:
		return v.uid(), nil
	case []any:
		return setOf(v, valueOf)
	case []string:
		return setOf(v, func(s string) (cedar.Value, error) { return cedar.String(s), nil })
	case []Entity:
		return setOf(v, func(e Entity) (cedar.Value, error) { return e.uid(), nil })
	case map[string]any:
		return recordOf(v)
	case map[string]string:
		record := make(cedar.RecordMap, len(v))
		for name, s := range v {
			record[cedar.String(name)] = cedar.String(s)
		}
		return cedar.NewRecord(record), nil
	}
	return nil, fmt.Errorf("a %T is no Cedar value", v)
}

func setOf[T any](list []T, value func(T) (cedar.Value, error)) (cedar.Value, error) {
	values := make([]cedar.Value, len(list))
	for i, e := range list {
		var err error
		if values[i], err = value(e); err != nil {
			return nil, err
		}
	}
	return cedar.NewSet(values...), nil
}

func recordOf(m map[string]any) (cedar.Record, error) {
	record := make(cedar.RecordMap, len(m))
	for name, v := range m {
		value, err := valueOf(v)
		if err != nil {
			return cedar.Record{}, fmt.Errorf("attribute %s: %w", name, err)
		}
		record[cedar.String(name)] = value
	}
	return cedar.NewRecord(record), nil
}

// argument returns a JSON value as a Cedar value, nil for null. What Cedar cannot
// hold exactly is an error and not left out: a forbid that is guarded by "has"
// would quietly let a number with five decimals pass.
func argument(raw json.RawMessage) (cedar.Value, error) {
	if len(raw) > 0 && raw[0] == '"' { // the common case, without a decoder
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("it is not JSON")
		}
		return cedar.String(s), nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is not JSON")
	}
	if v == nil {
		return nil, nil
	}
	return jsonValue(v)
}

func jsonValue(v any) (cedar.Value, error) {
	switch v := v.(type) {
	case string:
		return cedar.String(v), nil
	case bool:
		return cedar.Boolean(v), nil
	case json.Number:
		return number(string(v))
	case []any:
		return setOf(v, jsonValue)
	case map[string]any:
		record := make(cedar.RecordMap, len(v))
		for name, e := range v {
			if e == nil {
				continue
			}
			value, err := jsonValue(e)
			if err != nil {
				return nil, err
			}
			record[cedar.String(name)] = value
		}
		return cedar.NewRecord(record), nil
	}
	return nil, fmt.Errorf("an array holds null, which Cedar has no value for")
}

// maxDigits bounds a number's text and exponent, before arithmetic with it.
const maxDigits = 64

// number returns an integer as a long, whatever its spelling, and any other
// number as a decimal.
func number(s string) (cedar.Value, error) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return cedar.Long(i), nil
	}
	tooFine := fmt.Errorf("a number is outside what Cedar can hold: 64-bit integers, and decimals of 4 digits")
	if _, exponent, ok := strings.Cut(strings.ToLower(s), "e"); ok {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxDigits || e < -maxDigits {
			return nil, tooFine
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || len(s) > maxDigits {
		return nil, tooFine
	}
	if r.IsInt() {
		if !r.Num().IsInt64() {
			return nil, tooFine
		}
		return cedar.Long(r.Num().Int64()), nil
	}
	r.Mul(r, big.NewRat(10_000, 1))
	if !r.IsInt() || !r.Num().IsInt64() {
		return nil, tooFine
	}
	d, err := cedar.NewDecimal(r.Num().Int64(), -4)
	if err != nil {
		return nil, tooFine
	}
	return d, nil
}
