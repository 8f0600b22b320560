#!/usr/bin/env bash
# Runs the retry policies of grpc-go and grpcio against a server that is overloaded or gets messages that are too large. Builds
# and starts a server with little memory on a free port, and stops it.
#
# Needs Go and Python 3.11. Installs NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh
. checks/python/server.sh

environment checks/python/requirements.txt
# At the level `info` the log has the address of the metrics, and also a line for each call.
serve --log-level info --max-message-bytes $((1 << 20)) --max-bytes-in-flight $((2 << 20)) \
    --metrics-listen 127.0.0.1:0 2>"$scratch/log"
# `serve` waits for the line on standard output. Another thread writes the log, maybe later.
metrics=
for _ in $(seq 300); do
    metrics=$(sed -n 's/.*serving metrics address=//p' "$scratch/log")
    [[ -z $metrics ]] || break
    sleep 0.1
done
[[ -n $metrics ]] || { printf 'the log does not say where the metrics are\n' >&2; exit 1; }
(cd checks/retry && go run . --target "$target")
"$python" checks/retry/check.py --target "$target" --metrics "$metrics"
stop
echo "all checks passed"
