#!/usr/bin/env bash
# Builds the service as the image has it, then runs ghz and `evenkeel load` in turns against it and prints one table in Markdown:
# load/compare.py does the rest and takes the arguments. Needs Rust, Python 3.9 and Go, and an idle machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh

bash .ci/install ghz
cargo build --profile image --locked --package evenkeel --bin evenkeel
exec python3 load/compare.py --server "${CARGO_TARGET_DIR:-target}/image/evenkeel" "$@"
