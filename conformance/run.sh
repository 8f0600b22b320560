#!/usr/bin/env bash
# Runs the cases of cases/ against the clients; README.md has the options.
#
# Needs Python 3.11, OpenSSL, and what the clients need. Installs the runner's packages into target/python, or into
# EVENKEEL_PYTHON_VENV. Without --evenkeel it builds the server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. checks/python/server.sh
environment conformance/requirements.txt
[[ " $* " == *" --evenkeel"* ]] || cargo build --release --locked --package evenkeel
"$python" conformance/run.py "$@"
