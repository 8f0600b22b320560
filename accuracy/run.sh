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
. checks/python/server.sh
environment accuracy/requirements.txt
# The longest rows are 10^7 float64 elements, beside a gradient of the same size; the largest group is 152 MB.
serve --max-message-bytes 536870912
"$python" accuracy/report.py --target "$target" "$@"
