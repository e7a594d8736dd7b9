package credential

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// Skew is how far ahead of ours another clock may be.
const Skew = 5 * time.Second

// A date is a NumericDate (RFC 7519 section 2): seconds since the epoch, with a
// fraction if the issuer likes. Its zero value is absent.
type date struct{ time.Time }

// UnmarshalJSON refuses everything but a number of seconds between 1970 and the
// year 36812: larger ones overflow what follows.
func (d *date) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f <= 0 || f >= 1<<40 {
		return errors.New("not a NumericDate")
	}
	sec, frac := math.Modf(f)
	d.Time = time.Unix(int64(sec), int64(frac*1e9)).UTC()
	return nil
}
