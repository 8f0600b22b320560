#!/usr/bin/env bash
# Runs the cases of Connect's conformance suite against a server of this stack that carries the suite's service: Connect, gRPC and
# gRPC-Web, over HTTP/1.1 and HTTP/2, in plain text and over TLS. Each case must pass, but for those of known-failing.txt, which must
# fail. Arguments are passed on to connectconformance: `--run '**/unary/**' --trace`.
#
# Needs Go. Installs connectconformance.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh

here=checks/connectconformance
bash .ci/install connectconformance
cargo build --release --locked --package evenkeel-connectconformance
connectconformance --mode server --conf "$here/config.yaml" --known-failing "@$here/known-failing.txt" "$@" -- \
    "${CARGO_TARGET_DIR:-target}/release/evenkeel-connectconformance"
