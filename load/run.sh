#!/usr/bin/env bash
# Builds the service, then loads it with ghz: load/run.py does the rest and takes the arguments (`--short`, `--all`,
# `--duration 30s`, names of cases). Needs Rust, Python 3.9 and Go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh

bash .ci/install ghz
# A short load, and one of some calls, is no measurement: it takes the profile that is quicker to build.
profile=image
for argument in "$@"; do
    [[ $argument != --short && $argument != --calls ]] || profile=release
done
cargo build --profile "$profile" --locked --package evenkeel --bin evenkeel
exec python3 load/run.py --server "${CARGO_TARGET_DIR:-target}/$profile/evenkeel" "$@"
