package authority

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
)

// A decimal is a JSON number taken apart without arithmetic, so that comparing
// is exact and costs the length of the literal whatever its exponent says:
// value = ±0.digits × 10^point.
type decimal struct {
	neg    bool
	digits []byte // of the literal, from the first to the last that is not 0; may hold one '.'; empty for zero
	point  int64
}

// maxExponent is the largest exponent that is still compared. No authority
// holds a number near it, and a call that does is refused.
const maxExponent = 1e15

// parseDecimal takes a JSON number literal apart. It is false for anything that
// is not one, and for a value beyond 10^±maxExponent: such numbers match no
// constraint but any.
func parseDecimal(lit []byte) (decimal, bool) {
	var d decimal
	s := lit
	if len(s) > 0 && s[0] == '-' {
		d.neg, s = true, s[1:]
	}
	mantissa, exponent := s, []byte(nil)
	if i := bytes.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i+1:]
		if len(exponent) == 0 {
			return decimal{}, false
		}
	}
	whole, fraction, dotted := bytes.Cut(mantissa, []byte{'.'})
	if !digitsOnly(whole) || len(whole) > 1 && whole[0] == '0' || dotted && !digitsOnly(fraction) {
		return decimal{}, false
	}
	e, ok := parseExponent(exponent)
	lo := bytes.IndexFunc(mantissa, nonZero)
	if !ok || lo >= 0 && (e > maxExponent || e < -maxExponent) {
		return decimal{}, false
	}
	if lo < 0 { // zero, of either sign, whatever the exponent
		return decimal{}, true
	}
	hi := bytes.LastIndexFunc(mantissa, nonZero)
	d.digits = mantissa[lo : hi+1]
	if lo < len(whole) {
		d.point = e + int64(len(whole)-lo)
	} else {
		d.point = e - int64(lo-len(whole)-1)
	}
	return d, true
}

func nonZero(r rune) bool { return '1' <= r && r <= '9' }

func digitsOnly(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// parseExponent reads what follows e or E; nothing there is 0. It stops counting
// somewhere beyond maxExponent.
func parseExponent(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	neg := b[0] == '-'
	if neg || b[0] == '+' {
		b = b[1:]
	}
	if !digitsOnly(b) {
		return 0, false
	}
	var e int64
	for _, c := range b {
		if e <= maxExponent {
			e = e*10 + int64(c-'0')
		}
	}
	if neg {
		e = -e
	}
	return e, true
}

// compare orders two decimals by value: -1, 0 or 1.
func (d decimal) compare(o decimal) int {
	sign := func(d decimal) int {
		switch {
		case len(d.digits) == 0:
			return 0
		case d.neg:
			return -1
		}
		return 1
	}
	s := sign(d)
	if c := cmp.Compare(s, sign(o)); c != 0 || s == 0 {
		return c
	}
	if c := cmp.Compare(d.point, o.point); c != 0 {
		return c * s
	}
	return compareDigits(d.digits, o.digits) * s
}

// compareDigits compares digits behind a common point, skipping the literal's
// own. Neither side ends in 0, so a longer one is greater.
func compareDigits(a, b []byte) int {
	for {
		if len(a) > 0 && a[0] == '.' {
			a = a[1:]
		}
		if len(b) > 0 && b[0] == '.' {
			b = b[1:]
		}
		if len(a) == 0 || len(b) == 0 {
			return cmp.Compare(len(a), len(b))
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
}

// contains reports whether v lies within the interval.
func (r *Range) contains(v decimal) bool {
	if r.Min == nil && r.Max == nil {
		return false
	}
	if r.Min != nil {
		if m, ok := parseDecimal([]byte(*r.Min)); !ok || v.compare(m) < 0 {
			return false
		}
	}
	if r.Max != nil {
		if m, ok := parseDecimal([]byte(*r.Max)); !ok || v.compare(m) > 0 {
			return false
		}
	}
	return true
}

// compareNumbers orders two literals; both have been validated.
func compareNumbers(a, b json.Number) int {
	x, _ := parseDecimal([]byte(a))
	y, _ := parseDecimal([]byte(b))
	return x.compare(y)
}

// canonicalNumber returns the RFC 8785 form of a literal. It is false for one
// that this form would change (9007199254740993, 1e400): what is signed and
// hashed in that form must mean what was written.
func canonicalNumber(lit string) (string, bool) {
	d, ok := parseDecimal([]byte(lit))
	if !ok {
		return "", false
	}
	if len(lit) <= 15 && digitsOnly([]byte(lit)) {
		return lit, true
	}
	f, err := strconv.ParseFloat(lit, 64)
	if err != nil {
		return "", false
	}
	if f == 0 {
		return "0", len(d.digits) == 0
	}
	out, err := json.Marshal(f) // encoding/json formats as ECMAScript does
	if err != nil {
		return "", false
	}
	back, ok := parseDecimal(out)
	return string(out), ok && back.compare(d) == 0
}
