#!/bin/bash
# Compares the client with the bare stub: bash clients/java/bench/run.sh
#
# EVENKEEL_ADDRESS names a server that runs already, which must take messages of more than 64 MiB. Without it, the script starts
# target/release/evenkeel, or the file that EVENKEEL_BINARY names. EVENKEEL_BENCH_SCALE is a factor for the number of rounds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash conformance/prepare.sh >&2 # standard output is for the figures, and Maven writes colours to it
build=$PWD/../../target/java
evenkeel=${EVENKEEL_BINARY:-../../target/release/evenkeel}
classpath=$build/classes:$(<"$build/classpath")
javac --release 17 -cp "$classpath" -d "$build/bench" bench/Bench.java
mkdir -p "$build/bench"
bench() { # bench ADDRESS
    java -Xmx4g -cp "$build/bench:$classpath" Bench "$1" "${EVENKEEL_BENCH_SCALE:-1}"
}
if [[ -n ${EVENKEEL_ADDRESS-} ]]; then
    bench "$EVENKEEL_ADDRESS"
    exit
fi
rm -f "$build/bench/stdout"
mkfifo "$build/bench/stdout"
EVENKEEL_LOG_LEVEL=warn "$evenkeel" serve --listen 127.0.0.1:0 --max-message-bytes 134217728 >"$build/bench/stdout" &
server=$!
trap 'kill $server; rm -f "$build/bench/stdout"' EXIT
read -r line <"$build/bench/stdout"
bench "${line#listening on }"
