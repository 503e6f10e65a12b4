// Works through an IMAP server's commands with emersion's go-imap, version 2 and version 1, as two users. It stops with
// a failure at the first answer that is not what it has to be.
//
//	go_imap HOST:PORT CERTIFICATE PASSWORD USER OTHER-USER
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"reflect"
)

type settings struct {
	address, password, user, other string
	tls                            *tls.Config
}

func main() {
	certificate := must(os.ReadFile(os.Args[2]))
	roots := x509.NewCertPool()
	check(roots.AppendCertsFromPEM(certificate), "a certificate in PEM")
	use := settings{
		address:  os.Args[1],
		password: os.Args[3],
		user:     os.Args[4],
		other:    os.Args[5],
		tls:      &tls.Config{RootCAs: roots, ServerName: "localhost"},
	}
	version2(use)
	version1(use)
	fmt.Println("all of it")
}

func must[T any](value T, err error) T {
	done(err)
	return value
}

func done(err error) {
	if err != nil {
		panic(err)
	}
}

func check(holds bool, format string, values ...any) {
	if !holds {
		panic("not so: " + fmt.Sprintf(format, values...))
	}
}

func equal(got, want any) {
	check(reflect.DeepEqual(got, want), "got %#v, want %#v", got, want)
}
