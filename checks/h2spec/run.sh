#!/usr/bin/env bash
# Runs all cases of h2spec, which check the rules of HTTP/2 and HPACK, against a server that this script builds: in plain text and
# over TLS. Each case must pass; none may be skipped or missing.
#
# The server accepts frames of 16 KiB, the protocol's default: h2spec sends 20 KiB as a frame that is too large.
# Connect is off: with it, what is no preface of HTTP/2 is answered by HTTP/1.1, where h2spec expects a closed connection.
#
# Needs Go, which also makes the certificate. Installs h2spec.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh
. checks/python/server.sh

# The number of cases of h2spec 2.2.1, with those of `--strict`.
cases=146
# The limit for a response, in seconds. A case takes milliseconds; the limit is for a machine that hangs.
patience=30

# conforms WHAT FLAG...: runs the cases with these flags of h2spec.
conforms() {
    local what=$1 log=$scratch/h2spec status=0 summary
    shift
    h2spec --strict --timeout "$patience" --host "${target%:*}" --port "${target##*:}" "$@" >"$log" 2>&1 || status=$?
    summary=$(tail -n 1 "$log")
    printf 'h2spec, %s: %s\n' "$what" "$summary"
    if [[ $status != 0 || $summary != "$cases tests, $cases passed, 0 skipped, 0 failed" ]]; then
        sed -n '/^Failures:/,$p' "$log"
        printf 'FAILED: not %d cases that pass (exit code %d)\n' "$cases" "$status"
        exit 1
    fi
}

bash .ci/install h2spec

serve --connect=false --max-frame-bytes 16384
conforms 'plain text'
stop

self_signed "$scratch" 127.0.0.1
serve --connect=false --max-frame-bytes 16384 --tls-cert "$scratch/cert.pem" --tls-key "$scratch/key.pem"
conforms TLS --tls --insecure
stop
