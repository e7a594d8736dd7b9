package store_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/ambit-iam/ambit/internal/principal"
	"github.com/ambit-iam/ambit/internal/store"
	"github.com/ambit-iam/ambit/internal/store/storetest"
)

func minter() principal.Minter { return principal.Minter{Now: time.Now, Entropy: rand.Reader} }

func open(dir string) (storetest.Store, error) {
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestStore(t *testing.T) { storetest.Run(t, open) }
