#!/usr/bin/env bash
# Sends the traces and metrics of the release build to an OpenTelemetry Collector, in plain text and over TLS, and checks the
# data that the collector forwards.
#
# Needs Go and Python 3.11. Installs the collector (.ci/install otelcol), and NumPy and grpcio into target/python, or
# into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh
. checks/python/server.sh

bash .ci/install otelcol
environment checks/python/requirements.txt
cargo build --release --locked --package evenkeel
self_signed "$scratch" localhost
"$python" checks/collector/check.py --evenkeel "${CARGO_TARGET_DIR:-target}/release/evenkeel" \
    --collector evenkeel-otelcol --certificates "$scratch"
