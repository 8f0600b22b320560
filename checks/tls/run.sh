#!/usr/bin/env bash
# Checks the server's TLS with other implementations: handshakes by OpenSSL's s_client, calls by grpcio, with certificates that
# `openssl` makes. Builds and starts servers on free ports: one with TLS, whose certificate is replaced while it runs, and one with
# mutual TLS and tokens.
#
# Needs openssl 3 and Python 3.11. Installs NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=checks/tls
. checks/python/server.sh
environment checks/python/requirements.txt
certificates=$scratch/certificates
mkdir "$certificates"
. $here/certificates.sh
. $here/handshakes.sh

calls() { # calls CASE...
    # The cases cause handshakes that fail on purpose, so grpcio need not report them.
    GRPC_VERBOSITY=NONE "$python" $here/calls.py --target "$target" --certificates "$certificates" "$@"
}

# Runs the health check of a container.
health() {
    "$evenkeel" health --server "https://$target" --tls-ca "$certificates/root.pem" "$@" >/dev/null
    echo "ok      evenkeel health $*" | sed "s|$certificates/||g"
}

echo "==> TLS"
# Connect would be spoken over HTTP/1.1 as well.
serve --connect=false --tls-cert "$certificates/server.pem" --tls-key "$certificates/server.key"
tls_handshakes
health
calls encrypted untrusted plain reloaded
stop

echo "==> mutual TLS and tokens"
cat "$certificates"/{leaf,between}.pem >"$certificates/server.pem"
cp "$certificates/leaf.key" "$certificates/server.key"
serve --tls-cert "$certificates/server.pem" --tls-key "$certificates/server.key" \
    --tls-client-ca "$certificates/clients.pem" --auth-token-file "$certificates/tokens"
mutual_handshakes
health --tls-cert "$certificates/client.pem" --tls-key "$certificates/client.key" --token-file "$certificates/token"
calls mutual anonymous stranger no_token wrong_token
stop
echo "all checks passed"
