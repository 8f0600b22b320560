package evenkeel

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// target is where a client connects.
type target struct {
	// grpc is the address in gRPC's form.
	grpc string
	// tls says whether the address asks for TLS; plain, whether it refuses TLS.
	tls, plain bool
	// local says whether requests stay on this machine.
	local bool
}

// parseTarget reads host:port, http://host:port, https://host:port or unix:/path.
func parseTarget(address string) (target, error) {
	if path, is := strings.CutPrefix(address, "unix:"); is {
		if path == "" {
			return target{}, invalid("address", "unix: needs the path of a socket")
		}
		return target{grpc: address, local: true}, nil
	}
	hostPort, t := address, target{}
	if strings.Contains(address, "://") {
		parsed, err := url.Parse(address)
		switch {
		case err != nil:
			return target{}, invalid("address", err.Error())
		case parsed.Scheme != "http" && parsed.Scheme != "https":
			return target{}, invalid("address", "expected http://, https://, unix: or host:port, got "+parsed.Scheme+"://")
		case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.User != nil:
			return target{}, invalid("address", "expected nothing but a host and a port after ://")
		}
		t.tls, t.plain = parsed.Scheme == "https", parsed.Scheme == "http"
		port := parsed.Port()
		if port == "" {
			port = map[bool]string{true: "443", false: "80"}[t.tls]
		}
		hostPort = net.JoinHostPort(parsed.Hostname(), port)
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return target{}, invalid("address", err.Error())
	}
	if host == "" || port == "" {
		return target{}, invalid("address", "expected a host and a port in "+hostPort)
	}
	t.grpc, t.local = "dns:///"+hostPort, isLocal(host)
	return t, nil
}

func isLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
