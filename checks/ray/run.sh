#!/usr/bin/env bash
# Trains a small network on a local cluster of Ray with 1, 2 and 4 workers and two servers, and compares the digests.
#
# Needs Python 3.11. Installs Ray, NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV. Ray listens on loopback,
# writes to a temporary folder, and ends with the script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. checks/python/server.sh
export PYTHONDONTWRITEBYTECODE=1

environment checks/ray/requirements.txt
cargo build --release --locked --package evenkeel
mkdir "$scratch/stubs"
"$python" -m grpc_tools.protoc -I proto --python_out="$scratch/stubs" --grpc_python_out="$scratch/stubs" \
    evenkeel/v1/tensor_ops.proto
PYTHONPATH=$scratch/stubs RAY_TMPDIR=$scratch RAY_USAGE_STATS_ENABLED=0 \
    "$python" checks/ray/check.py --evenkeel "${CARGO_TARGET_DIR:-target}/release/evenkeel"
