#!/usr/bin/env bash
# Runs the fuzz targets on the toolchain of the workspace: fuzz/run.sh SECONDS [TARGET...]; without targets, every one.
# FUZZ_SEED makes the order of cases the same each time; without it no two runs are.
# Starts from fuzz/corpus/TARGET and keeps what it finds in target/fuzz-corpus/TARGET. Needs a C++ compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! ${1:-} =~ ^[0-9]+$ ]]; then
    printf 'usage: fuzz/run.sh SECONDS [TARGET...]\n' >&2
    exit 64
fi
seconds=$1
shift
targets=("$@")
[[ $# -gt 0 ]] || targets=(direct decode head metadata kernels files measure streams)

# What cargo-fuzz passes, without the address sanitizer, which stable Rust does not have. Coverage is an option of LLVM's that
# rustc takes from nightly toolchains only, unless it is told so. A target apart from the host's keeps it out of build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
flags=(-Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
flags+=(--cfg fuzzing -Cdebug-assertions)
RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=target/fuzz \
    cargo build --manifest-path fuzz/Cargo.toml --release --locked --target "$host"

for target in "${targets[@]}"; do
    found=target/fuzz-corpus/$target
    crashes=target/fuzz-crashes/$target
    log=target/fuzz-$target.log
    mkdir -p "$found" "$crashes"
    printf '%s: %s s\n' "$target" "$seconds"
    # A case of 25 s is a fault as well as a panic is.
    if ! "target/fuzz/$host/release/$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 -max_len=4096 \
        -seed="${FUZZ_SEED:-0}" -print_final_stats=1 -artifact_prefix="$crashes/" "$found" "fuzz/corpus/$target" >"$log" 2>&1; then
        tail -n 60 "$log"
        printf 'FAILED: %s; the input is in %s, all of the output in %s\n' "$target" "$crashes" "$log"
        exit 1
    fi
    cases=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    [[ ${cases:-0} -gt 0 ]] || { printf 'FAILED: %s tried nothing; all of the output in %s\n' "$target" "$log"; exit 1; }
    printf '  cases: %s\n' "$cases"
done
