#!/usr/bin/env bash
# Runs gRPC's interop cases that apply to any server from grpcio.
#
#   run.sh                       builds and starts a server on a free port, and stops it
#   run.sh --target HOST:PORT    calls the server that listens there
#
# Needs Python 3.11. Installs NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. checks/python/server.sh
arguments "$@"
environment checks/python/requirements.txt
[[ -n $target ]] || serve
"$python" checks/interop/cases.py --target "$target"
[[ -z $server ]] || stop
