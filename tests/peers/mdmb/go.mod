module lanyard.invalid/peers/mdmb

go 1.19

require (
	github.com/jessepeterson/mdmb v0.1.0
	go.mozilla.org/pkcs7 v0.9.0
)
