#!/usr/bin/env bash
# Measures the accuracy of evenkeel and of PyTorch and writes docs/accuracy.md and its plots.
#
#   run.sh            the whole grid, some ten minutes on two cores
#   run.sh --short    a part of it, about a minute; writes nothing
#
# Either fails if an error is above what the contract allows. Needs Python 3.11 and Rust. Installs PyTorch and the rest
# into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1-}" in
    --short | '') ;;
    *) echo "usage: $0 [--short]" >&2 && exit 64 ;;
esac

export PYTHONDONTWRITEBYTECODE=1
venv=${EVENKEEL_PYTHON_VENV:-target/python}
[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
python=$(cd "$venv" && pwd)/bin/python
"$python" -m pip install --quiet --disable-pip-version-check --requirement accuracy/requirements.txt

cargo build --release --locked --package evenkeel
scratch=$(mktemp -d)
server=
cleanup() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

# The longest rows are 10^7 float64 elements, beside a gradient of the same size; the largest group is 152 MB.
mkfifo "$scratch/stdout"
"${CARGO_TARGET_DIR:-target}/release/evenkeel" serve --listen 127.0.0.1:0 --log-level warn \
    --max-message-bytes 536870912 >"$scratch/stdout" &
server=$!
read -r line <"$scratch/stdout" # no end of waiting but the server's own end

"$python" accuracy/report.py --target "${line#listening on }" "$@"
