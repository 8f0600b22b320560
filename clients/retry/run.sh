#!/usr/bin/env bash
# Has the retry policies of grpc-go and grpcio, as they are, meet a server that is overloaded or gets what is too large. Builds
# and starts one on a free port with little memory, and stops it.
#
# Needs Go and Python 3.11. Installs NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh
. clients/python/server.sh

environment clients/python/requirements.txt
# `info` is the level that tells where the metrics are. A line for each call comes with it.
serve --log-level info --max-message-bytes $((1 << 20)) --max-bytes-in-flight $((2 << 20)) \
    --metrics-listen 127.0.0.1:0 2>"$scratch/log"
# The log is written by a thread of its own, after the line on standard output that `serve` has waited for.
metrics=
for _ in $(seq 300); do
    metrics=$(sed -n 's/.*serving metrics address=//p' "$scratch/log")
    [[ -z $metrics ]] || break
    sleep 0.1
done
[[ -n $metrics ]] || { printf 'the log does not say where the metrics are\n' >&2; exit 1; }
(cd clients/retry && go run . --target "$target")
"$python" clients/retry/check.py --target "$target" --metrics "$metrics"
stop
echo "all checks passed"
