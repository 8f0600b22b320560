#!/usr/bin/env bash
# Runs the fuzz targets on the toolchain of the workspace: fuzz/run.sh SECONDS [TARGET...]; without targets, every one.
# FUZZ_SEED gives libFuzzer the same random numbers in each run; without it each run has its own.
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
[[ $# -gt 0 ]] || targets=(direct decode head metadata kernels files measure streams json)

# The flags of cargo-fuzz, without the address sanitizer, which stable Rust does not have. Coverage is an option of LLVM, which a
# stable rustc accepts only with RUSTC_BOOTSTRAP. `--target` keeps the flags out of build scripts.
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
    # A case that takes 25 s fails the run, as one that panics does.
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
