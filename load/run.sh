#!/usr/bin/env bash
# Builds the service and the binary payloads, then loads the service with ghz: load/run.py does the rest and
# takes the arguments (`--short`, `--duration 30s`, names of configurations). Needs Rust, Python 3.9 and ghz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh

bash .ci/install ghz
# A short load is no measurement: it takes the profile that is quicker to build.
profile=image
for argument in "$@"; do
    [[ $argument != --short ]] || profile=release
done
cargo build --profile "$profile" --locked --bin evenkeel
cargo run --quiet --locked --example load_payloads -- target/load
exec python3 load/run.py --server "${CARGO_TARGET_DIR:-target}/$profile/evenkeel" "$@"
