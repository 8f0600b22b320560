// Conformance is the adapter of the Go client for the cases of conformance/ in the repository's root: it reads requests as lines of
// JSON and answers each with a line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"

	"evenkeel.dev/go/evenkeel"
)

type request struct {
	ID            json.RawMessage `json:"id"`
	Op            string          `json:"op"`
	Client        *settings       `json:"client"`
	TimeoutMs     *int            `json:"timeout_ms"`
	CancelAfterMs *int            `json:"cancel_after_ms"`
	Digest        bool            `json:"digest"`
	Args          arguments       `json:"args"`
}

type settings struct {
	Address     string `json:"address"`
	Token       string `json:"token"`
	CA          string `json:"ca"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	ServerName  string `json:"server_name"`
	Connections int    `json:"connections"`
}

// client is a client, and whether it has warned.
type client struct {
	*evenkeel.Client
	warned warnings
}

// warnings is a log that notes whether there was anything in it.
type warnings struct{ any bool }

func (w *warnings) Write(line []byte) (int, error) {
	w.any = true
	return os.Stderr.Write(line)
}

// unsupported is why this client cannot be asked for something.
type unsupported string

func (u unsupported) Error() string { return string(u) }

// clients has one for each distinct settings.
type clients map[settings]*client

func (c clients) get(s *settings) (*client, error) {
	if s == nil {
		return nil, nil
	}
	if known := c[*s]; known != nil {
		return known, nil
	}
	made := new(client)
	options := []evenkeel.Option{evenkeel.WithLogger(slog.New(slog.NewTextHandler(&made.warned, nil)))}
	if s.Token != "" {
		options = append(options, evenkeel.WithToken(s.Token))
	}
	if s.CA != "" {
		options = append(options, evenkeel.WithCA(s.CA))
	}
	if s.Cert != "" {
		options = append(options, evenkeel.WithClientCertificate(s.Cert, s.Key))
	}
	if s.ServerName != "" {
		options = append(options, evenkeel.WithServerName(s.ServerName))
	}
	if s.Connections > 0 {
		options = append(options, evenkeel.WithConnections(s.Connections))
	}
	var err error
	if made.Client, err = evenkeel.New(s.Address, options...); err != nil {
		return nil, err
	}
	c[*s] = made
	return made, nil
}

func (c clients) answer(r *request) (any, error) {
	client, err := c.get(r.Client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if r.TimeoutMs != nil {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*r.TimeoutMs)*time.Millisecond)
		defer cancel()
	}
	if r.CancelAfterMs != nil {
		defer time.AfterFunc(time.Duration(*r.CancelAfterMs)*time.Millisecond, cancel).Stop()
	}
	operation := operations[r.Op]
	if operation == nil {
		return nil, unsupported("no operation " + r.Op)
	}
	return operation(&invocation{ctx: ctx, client: client, arguments: &r.Args, digest: r.Digest})
}

// failure is the form of an error in an answer.
func failure(err error) map[string]any {
	form := map[string]any{"code": "UNKNOWN", "message": err.Error(), "reason": nil, "fields": []string{}, "retry_after_ms": nil}
	var call *evenkeel.CallError
	if errors.As(err, &call) {
		form["code"] = code.Code_name[int32(call.Code)]
		if call.Reason != "" {
			form["reason"] = call.Reason
		}
	}
	var argument *evenkeel.InvalidArgument
	if errors.As(err, &argument) {
		fields := []string{}
		for _, field := range argument.Fields {
			fields = append(fields, field.Path)
		}
		form["fields"] = fields
	}
	var overloaded *evenkeel.Overloaded
	if errors.As(err, &overloaded) && overloaded.RetryAfter > 0 {
		form["retry_after_ms"] = overloaded.RetryAfter.Milliseconds()
	}
	var nonfinite *evenkeel.NonfiniteNorm
	if errors.As(err, &nonfinite) {
		gradients := map[string]string{}
		for _, gradient := range nonfinite.Gradients {
			gradients[strconv.Itoa(gradient.Index)] = gradient.Name
		}
		form["norm"] = map[string]any{
			"total_norm":          float(nonfinite.TotalNorm),
			"nan_elements":        digits(nonfinite.NaNElements),
			"infinite_elements":   digits(nonfinite.InfiniteElements),
			"nonfinite_gradients": digits(nonfinite.NonfiniteGradients),
			"gradients":           gradients,
		}
	}
	return form
}

func main() {
	all := make(clients)
	lines, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		var r request
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		if err != nil {
			log.Fatal(err)
		}
		answer := map[string]any{"id": r.ID}
		result, err := all.answer(&r)
		var cannot unsupported
		switch {
		case errors.As(err, &cannot):
			answer["unsupported"] = string(cannot)
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			answer["error"] = failure(err)
		default:
			answer["result"] = result
		}
		if err := out.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
	for _, client := range all {
		client.Close()
	}
}
