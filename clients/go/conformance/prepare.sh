#!/usr/bin/env bash
# Builds the adapter into the repository's target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go build -o ../../target/go-conformance ./conformance
