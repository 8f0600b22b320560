#!/bin/bash
# Runs the adapter, which prepare.sh has built.
set -euo pipefail
build=$(dirname "${BASH_SOURCE[0]}")/../../../target/java
exec java -cp "$build/conformance:$build/classes:$(<"$build/classpath")" dev.evenkeel.client.conformance.Adapter
