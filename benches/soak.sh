#!/usr/bin/env bash
# Mixed traffic against a server; fails on growth, on a wrong response, and on a status that a call must not have.
#
#   soak.sh            ten minutes; writes docs/soak.md and its plots (needs Python 3.11)
#   soak.sh --short    one minute, and a shorter run with a fault that must be found; writes no document
#
# Needs Rust, and Linux with two cores. Builds beside it change the times, not the rest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

short=
case "${1-}" in
    --short) short=1 ;;
    '') ;;
    *) echo "usage: $0 [--short]" >&2 && exit 64 ;;
esac

# What is written is measured with the profile of the image.
profile=image
[[ -z $short ]] || profile=release
# Two builds, so that the server is built with its own features and not with the benchmarks'.
cargo build --profile "$profile" --locked --package evenkeel --bin evenkeel
cargo build --profile "$profile" --locked --package evenkeel-bench
bench=${CARGO_TARGET_DIR:-target}/$profile/evenkeel-bench

if [[ -z $short ]]; then
    "$bench" soak --seconds 600
    PYTHONDONTWRITEBYTECODE=1 python3 benches/soak.py
    exit
fi

cargo test --release --locked --package evenkeel-bench
"$bench" soak --seconds 60 --records target/benchmarks/short
# The checks must be able to fail: this run has a fault.
if found=$("$bench" soak --seconds 12 --fault hoard --records target/benchmarks/fault 2>&1); then
    echo "FAILED: descriptors were hoarded and nobody noticed" && exit 1
fi
grep --quiet '^FAILED open descriptors' <<<"$found" || { echo "$found"; echo "FAILED: the hoard was not found"; exit 1; }
echo "a client that hoards connections is found"
