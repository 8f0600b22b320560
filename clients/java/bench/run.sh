#!/bin/bash
# Compares the client with the bare stub, on a server of its own: bash clients/java/bench/run.sh [FACTOR OF ROUNDS]
#
# The server is target/release/evenkeel, or the file that EVENKEEL_BINARY names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash conformance/prepare.sh
build=$PWD/../../target/java
evenkeel=${EVENKEEL_BINARY:-../../target/release/evenkeel}
classpath=$build/classes:$(<"$build/classpath")
javac --release 17 -cp "$classpath" -d "$build/bench" bench/Bench.java
mkdir -p "$build/bench"
rm -f "$build/bench/stdout"
mkfifo "$build/bench/stdout"
EVENKEEL_LOG_LEVEL=warn "$evenkeel" serve --listen 127.0.0.1:0 >"$build/bench/stdout" &
server=$!
trap 'kill $server; rm -f "$build/bench/stdout"' EXIT
read -r line <"$build/bench/stdout"
java -Xmx4g -cp "$build/bench:$classpath" Bench "${line#listening on }" "${1-1}"
