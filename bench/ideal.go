// ideal: the same job with as few requests as it takes, and everything at the same time that can be: look, decide, act,
// look again over another connection. It says how long the job takes over a distance, whatever the program.
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

var imds = os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT") + "/latest/"

var hc = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(method, path, token string) string {
	q, _ := http.NewRequest(method, imds+path, nil)
	if token == "" {
		q.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "60")
	} else {
		q.Header.Set("X-aws-ec2-metadata-token", token)
	}
	r, err := hc.Do(q)
	check(err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	check(err)
	if r.StatusCode != 200 {
		return ""
	}
	return string(b)
}

// later starts f and returns what waits for its result.
func later[T any](f func() T) func() T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return func() T {
		v := <-c
		c <- v
		return v
	}
}

func hm(k []byte, s string) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hx(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

type creds struct{ AccessKeyId, SecretAccessKey, Token string }

func call(c net.Conn, region, host string, k creds, v url.Values) string {
	v.Set("Version", "2016-11-15")
	body := v.Encode()
	ts := time.Now().UTC().Format("20060102T150405Z")
	d := ts[:8]
	ct := "application/x-www-form-urlencoded; charset=utf-8"
	sh := "content-type;host;x-amz-date;x-amz-security-token"
	canon := "POST\n/\n\ncontent-type:" + ct + "\nhost:" + host + "\nx-amz-date:" + ts + "\nx-amz-security-token:" + k.Token + "\n\n" + sh + "\n" + hx(body)
	scope := d + "/" + region + "/ec2/aws4_request"
	key := hm(hm(hm(hm([]byte("AWS4"+k.SecretAccessKey), d), region), "ec2"), "aws4_request")
	sig := hex.EncodeToString(hm(key, "AWS4-HMAC-SHA256\n"+ts+"\n"+scope+"\n"+hx(canon)))
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nX-Amz-Date: %s\r\nX-Amz-Security-Token: %s\r\nAuthorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s\r\n\r\n%s",
		host, ct, len(body), ts, k.Token, k.AccessKeyId, scope, sh, sig, body)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	check(err)
	b, err := io.ReadAll(r.Body)
	check(err)
	if r.StatusCode != 200 {
		check(fmt.Errorf("%s", b))
	}
	return string(b)
}

var instance = regexp.MustCompile(`<instanceId>([^<]+)`)

func holder(s string) string {
	if m := instance.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

func main() {
	ec2, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL_EC2"))
	check(err)
	dial := func() net.Conn {
		if ec2.Scheme == "http" {
			c, err := net.Dial("tcp", ec2.Host)
			check(err)
			return c
		}
		pem, err := os.ReadFile(os.Getenv("AWS_CA_BUNDLE"))
		check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		c, err := tls.Dial("tcp", ec2.Host, &tls.Config{RootCAs: roots})
		check(err)
		return c
	}

	token := ask("PUT", "api/token", "")
	get := func(p string) func() string { return later(func() string { return ask("GET", p, token) }) }
	id, tag, region := get("meta-data/instance-id"), get("meta-data/tags/instance/allocation-id"), get("meta-data/placement/region")
	keys := later(func() (k creds) {
		role := strings.TrimSpace(ask("GET", "meta-data/iam/security-credentials/", token))
		check(json.Unmarshal([]byte(ask("GET", "meta-data/iam/security-credentials/"+role, token)), &k))
		return
	})
	region() // names the endpoint, which the bench happens to know before
	first := later(dial)
	ask := func(c net.Conn, v url.Values) string { return call(c, region(), ec2.Host, keys(), v) }
	look := func(c net.Conn) string {
		return ask(c, url.Values{"Action": {"DescribeAddresses"}, "Filter.1.Name": {"allocation-id"}, "Filter.1.Value.1": {tag()}})
	}
	h := holder(look(first()))
	if h == id() {
		return
	}
	second := later(dial) // while EC2 works on what follows
	take := "false"
	if h != "" {
		ask(first(), url.Values{"Action": {"DescribeInstances"}, "InstanceId.1": {id()}, "InstanceId.2": {h}})
		take = "true"
	}
	ask(first(), url.Values{"Action": {"AssociateAddress"}, "AllocationId": {tag()}, "InstanceId": {id()}, "AllowReassociation": {take}})
	if holder(look(second())) != id() {
		os.Exit(1)
	}
}
