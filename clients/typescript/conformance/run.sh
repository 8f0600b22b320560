#!/usr/bin/env bash
# The adapter, which conformance/prepare.sh has built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. ./place.sh adapter
exec node "$place/build/conformance/adapter.js"
