#!/usr/bin/env bash
# Runs the adapter that prepare.sh has built.
exec "$(dirname "$0")/../../../target/cpp/build/conformance/conformance"
