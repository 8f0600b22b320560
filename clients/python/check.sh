#!/usr/bin/env bash
# Checks the Python client: generated files, formatting, lints, types, documentation, tests, and the wheel.
#
#   check.sh [--evenkeel PATH] [--without torch] [--without oldest]
#
# PATH is the server's program; default: target/release/evenkeel of the repository. Needs Python 3.10 or later, openssl, and
# - for the tests of torch, the environment of checks/python (EVENKEEL_PYTHON_VENV, or target/python) with torch in it;
# - for a second run with the oldest versions of the dependencies, python3.10 (or EVENKEEL_OLDEST_PYTHON).
# What is missing fails, unless it is named after --without. Writes to target/ and to pip's cache alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

root=$(cd ../.. && pwd)
binary=${CARGO_TARGET_DIR:-$root/target}/release/evenkeel
without=
while [[ $# != 0 ]]; do
    case $1 in
        --evenkeel) binary=${2:?--evenkeel needs a PATH} ;;
        --without) without+=" ${2:?--without needs torch or oldest}" ;;
        *) echo "usage: $0 [--evenkeel PATH] [--without torch] [--without oldest]" >&2 && exit 64 ;;
    esac
    shift 2
done
EVENKEEL_BINARY=$(realpath "$binary")
[[ -x $EVENKEEL_BINARY ]] || { echo "$EVENKEEL_BINARY is no program: build the server, or name one with --evenkeel" >&2 && exit 1; }

target=$root/target/python-client
export EVENKEEL_BINARY PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export MYPY_CACHE_DIR=$target/mypy RUFF_CACHE_DIR=$target/ruff
# Servers are on this machine, and gRPC must not go through a proxy if one is set.
export no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1
mkdir -p "$target"

step() {
    printf '\n==> %s\n' "$*"
}

# environment NAME PYTHON PACKAGE...: makes a virtual environment, and sets `python` to its Python.
environment() {
    local folder=$target/$1 interpreter=$2
    shift 2
    [[ -x $folder/bin/python ]] || "$interpreter" -m venv "$folder"
    python=$folder/bin/python
    "$python" -m pip install --quiet "$@"
}

tests() { # tests [PATH...]
    PYTHONPATH=src${extra:+:$extra} "$python" -m pytest --quiet -p no:cacheprovider "$@"
}

step generated files
bash generate.sh --check

environment check python3 --requirement requirements-check.txt
step formatting, lints, types
"$python" -m ruff format --check .
"$python" -m ruff check .
"$python" -m mypy

step documentation
rm -rf "$target/docs"
PYTHONPATH=src "$python" -W error -m pdoc --docformat google --output-directory "$target/docs" \
    evenkeel_client evenkeel_client.errors evenkeel_client.results evenkeel_client.testing evenkeel_client._sync

step tests
extra=
tests

if [[ $without == *torch* ]]; then
    step 'tests with torch: left out'
else
    step tests with torch
    torch=${EVENKEEL_PYTHON_VENV:-$root/target/python}/bin/python
    [[ -x $torch ]] && "$torch" -c 'import torch' || { echo "$torch has no torch: run checks/python/run.sh, or leave these tests out" >&2 && exit 1; }
    python=$torch extra=$target/torch
    "$torch" -m pip install --quiet --upgrade --target "$extra" pytest==9.2.0
    tests tests/test_torch.py
fi

if [[ $without == *oldest* ]]; then
    step 'tests with the oldest dependencies: left out'
else
    step tests with Python 3.10 and the oldest dependencies
    oldest=${EVENKEEL_OLDEST_PYTHON:-python3.10}
    "$oldest" --version || { echo "there is no $oldest: name one, or leave these tests out" >&2 && exit 1; }
    extra=
    environment oldest "$oldest" --requirement requirements-oldest.txt
    tests
fi

step wheel and sdist
rm -rf "$target/dist" "$target/installed"
"$target/check/bin/python" -m build --outdir "$target/dist" . >"$target/build.log" || { cat "$target/build.log" && exit 1; }
environment installed python3 "$target"/dist/*.whl
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp examples/*.py "$scratch"
example() { # example NAME: runs an example with a server of its own, by the installed client
    (cd "$scratch" && "$python" -c '
import os, runpy, sys
from evenkeel_client.testing import Server
with Server() as server:
    os.environ["EVENKEEL_ADDRESS"] = server.address
    runpy.run_path(sys.argv[1])
' "$1.py")
}
example first_call | diff <(echo '[[-1.3416355 -0.4472118  0.4472118  1.3416355]]') -
example many_calls
for name in normalize dropout clip_gradients merge; do
    example "$name" | diff "$root/docs/operations/printed/$name.txt" -
done

echo "all checks of the Python client passed"
