#!/usr/bin/env bash
# Tests the runner itself. `--evenkeel PATH` names the server's program; without it, it is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. checks/python/server.sh
environment conformance/requirements.txt
case "${1-}" in
    --evenkeel) EVENKEEL_BINARY=$(realpath "${2:?--evenkeel needs a path}") ;;
    '') cargo build --release --locked --package evenkeel && EVENKEEL_BINARY=$(realpath "${CARGO_TARGET_DIR:-target}/release/evenkeel") ;;
    *) echo "usage: $0 [--evenkeel PATH]" >&2 && exit 64 ;;
esac
export EVENKEEL_BINARY
cd conformance
"$python" -m unittest --verbose
