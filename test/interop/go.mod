module github.com/ambit-iam/ambit/test/interop

go 1.26
