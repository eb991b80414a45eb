// Verifies messages with nothing but Go's own library: one JSON line for each on standard input.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type message struct {
	Secret  string
	Body    string
	Headers map[string]string
}

func (m message) accepted() bool {
	content := []byte(m.Headers["webhook-id"] + "." + m.Headers["webhook-timestamp"] + "." + m.Body)
	kind, encoded, _ := strings.Cut(m.Secret, "_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	for _, each := range strings.Fields(m.Headers["webhook-signature"]) {
		version, text, _ := strings.Cut(each, ",")
		signature, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		if version == "v1" && kind == "whsec" {
			mac := hmac.New(sha256.New, key)
			mac.Write(content)
			if hmac.Equal(mac.Sum(nil), signature) {
				return true
			}
		}
		if version == "v1a" && kind == "whpk" && ed25519.Verify(key, content, signature) {
			return true
		}
	}
	return false
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			panic(err)
		}
		fmt.Println(m.accepted())
	}
}
