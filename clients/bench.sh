#!/usr/bin/env bash
# Compares each client with the bare stub of its language: layer normalization of float32 rows of 1024, from array to array, at
# 4 KiB, 256 KiB, 4 MiB and 64 MiB. One server for all; the languages take turns, and client and stub take turns within each. Prints
# one table at the end: how many times as fast as the stub the client is, and the milliseconds of its call.
#
#     bash clients/bench.sh [--evenkeel PATH] [--turns N] [--scale FACTOR] [LANGUAGE...]
#
# PATH is the server's program; the default is the build of the image's profile, which the script makes. Each language has N turns (3)
# of FACTOR (1) times its usual rounds. LANGUAGE is python, go, typescript, java, cpp or rust; all without one. The numbers mean
# something only where two cores have nothing else to do. Needs what the languages' check.sh need. Writes to target/ and to caches.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh

target=${CARGO_TARGET_DIR:-target}
evenkeel='' turns=3 scale=1 languages=()
while (($# > 0)); do
    case $1 in
        --evenkeel) evenkeel=${2:?--evenkeel needs a path} && shift ;;
        --turns) turns=${2:?--turns needs a number} && shift ;;
        --scale) scale=${2:?--scale needs a factor} && shift ;;
        python | go | typescript | java | cpp | rust) languages+=("$1") ;;
        *) echo "usage: $0 [--evenkeel PATH] [--turns N] [--scale FACTOR] [LANGUAGE...]" >&2 && exit 64 ;;
    esac
    shift
done
((${#languages[@]} > 0)) || languages=(python go typescript java cpp rust)
if [[ -z $evenkeel ]]; then
    cargo build --profile image --locked --package evenkeel --bin evenkeel
    evenkeel=$target/image/evenkeel
fi
[[ -x $evenkeel ]] || { echo "FAILED: there is no program $evenkeel" >&2 && exit 66; }
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1 no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1

# `build_X` builds what `run_X` runs, which prints a line of JSON for each size.

python=target/python-client/bench/bin/python
build_python() {
    [[ -x $python ]] || python3 -m venv target/python-client/bench
    "$python" -m pip install --quiet --disable-pip-version-check --requirement clients/python/requirements.txt grpcio-tools==1.85.1
}
run_python() { PYTHONPATH=clients/python/src "$python" clients/python/bench/bench.py; }

build_go() { (cd clients/go && go build -o "$scratch/bench-go" ./bench); }
run_go() { "$scratch/bench-go"; }

build_typescript() { bash clients/typescript/conformance/prepare.sh; }
run_typescript() { node "$target/typescript/adapter/clients/typescript/build/bench/bench.js"; }

build_java() { bash clients/java/conformance/prepare.sh; }
run_java() { bash clients/java/bench/run.sh; }

build_cpp() {
    cmake -S clients/cpp -B target/cpp/build -G Ninja -DEVENKEEL_DEVELOPER=ON -DCMAKE_BUILD_TYPE=Release >/dev/null
    cmake --build target/cpp/build --target bench
}
run_cpp() { target/cpp/build/bench/bench; }

build_rust() { cargo build --profile image --locked --package evenkeel-bench --bin client-stub; }
run_rust() { "$target/image/client-stub"; }

scratch=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT
for language in "${languages[@]}"; do
    echo "==> build $language" >&2
    "build_$language" >&2
done

mkfifo "$scratch/stdout"
env -i PATH="$PATH" "$evenkeel" serve --listen 127.0.0.1:0 --log-level warn --max-message-bytes 134217728 >"$scratch/stdout" &
server=$!
read -r line <"$scratch/stdout"
export EVENKEEL_ADDRESS=${line#listening on } EVENKEEL_BENCH_SCALE=$scale
for ((turn = 1; turn <= turns; turn++)); do
    for language in "${languages[@]}"; do
        echo "==> turn $turn of $turns: $language" >&2
        "run_$language" >"$scratch/lines"
        sed "s/^/$language /" "$scratch/lines" | tee -a "$scratch/all" >&2
    done
done
python3 clients/bench_table.py <"$scratch/all"
