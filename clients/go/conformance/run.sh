#!/usr/bin/env bash
# Starts the adapter that prepare.sh has built.
exec "$(dirname "${BASH_SOURCE[0]}")/../../../target/go-conformance"
