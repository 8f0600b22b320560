#!/usr/bin/env bash
# Measures evenkeel beside its goals.
#
#   run.sh            everything, some ten minutes after the build; writes docs/benchmarks.md and its plots
#   run.sh --short    loopback up to 4 MiB and the kernels at 1 MiB, two minutes after the build; writes no document
#
# Needs Rust, Python 3.11, and Linux with two cores that have nothing else to do. Installs PyTorch and the rest into
# target/python, or into EVENKEEL_PYTHON_VENV, and MLServer into target/mlserver. Fails if a response is wrong, not if a
# goal is missed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

short=
case "${1-}" in
    --short) short=1 ;;
    '') ;;
    *) echo "usage: $0 [--short]" >&2 && exit 64 ;;
esac

# installed VENV REQUIREMENTS: installs the requirements into the environment and prints the path of its Python.
installed() {
    [[ -x $1/bin/python ]] || python3 -m venv "$1" >&2
    local python
    python=$(cd "$1" && pwd)/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "benches/$2" >&2
    echo "$python"
}

export PYTHONDONTWRITEBYTECODE=1
python=$(installed "${EVENKEEL_PYTHON_VENV:-target/python}" requirements.txt)

# The profile of the image. Two builds, so that the server is built with its own features and not with the benchmarks'.
cargo build --profile image --locked --package evenkeel --bin evenkeel
cargo build --profile image --locked --package evenkeel-bench
bench=${CARGO_TARGET_DIR:-target}/image/evenkeel-bench

run() {
    printf '\n==> %s\n' "$*"
    "$@"
}

if [[ -n $short ]]; then
    records=target/benchmarks/short
    run "$bench" loopback --records $records --sizes 4k,256k,4m --rounds 9 --seconds 0.5
    run "$python" benches/kernels.py --records $records --bench "$bench" --short
    exit
fi

mlserver=$(installed target/mlserver requirements-mlserver.txt)
run "$bench" loopback
run "$bench" client
run "$bench" peers --python "$python" --mlserver-python "$mlserver" --rounds 5
run "$bench" mixed --seconds 2
run "$bench" memory --python "$python" --rounds 3
run "$bench" streams --python "$python" --rounds 5
run "$python" benches/kernels.py --bench "$bench"
run "$python" benches/report.py
