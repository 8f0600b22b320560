#!/usr/bin/env bash
# Makes the environment of the adapter: the client and ml_dtypes, in target/python-client-conformance of the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=../../target/python-client-conformance
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
# The dependencies alone: the adapter imports the client from src, so that it is never an old copy.
"$venv/bin/python" -m pip install --quiet --requirement requirements.txt
