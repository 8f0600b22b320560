#!/usr/bin/env bash
# Builds the release service, then loads it with ghz: load/run.py does the rest and takes the arguments (`--short`, `--all`,
# `--duration 30s`, names of cases). Needs Rust, Python 3.9 and Go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh

bash .ci/install ghz
cargo build --release --locked --package evenkeel --bin evenkeel
exec python3 load/run.py --server "${CARGO_TARGET_DIR:-target}/release/evenkeel" "$@"
