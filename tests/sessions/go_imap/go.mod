module holdfast.test/go_imap

go 1.24

require (
	github.com/emersion/go-imap v1.2.1
	github.com/emersion/go-imap/v2 v2.0.0-beta.8
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6
)

require (
	github.com/emersion/go-message v0.18.2 // indirect
	golang.org/x/text v0.14.0 // indirect
)
