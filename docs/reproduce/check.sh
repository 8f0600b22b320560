#!/usr/bin/env bash
# Runs the three programs of this folder on cases.txt and compares their output with a server's results, byte by byte.
#
#   check.sh                       builds and starts a server on a free port, and stops it
#   check.sh --target HOST:PORT    calls the server that listens there
#
# Needs Python 3.11, Go 1.22 and Java 17. Installs NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in python3 go java; do
    command -v "$tool" >/dev/null || { echo "$0 needs $tool" >&2 && exit 1; }
done

export PYTHONDONTWRITEBYTECODE=1
here=docs/reproduce
. checks/python/server.sh
arguments "$@"
environment checks/python/requirements.txt
[[ -n $target ]] || serve

"$python" $here/reproduce.py $here/cases.txt >"$scratch/python"
go run $here/reproduce.go $here/cases.txt >"$scratch/go"
java $here/Reproduce.java $here/cases.txt >"$scratch/java"
"$python" $here/compare.py --target "$target" $here/cases.txt "$scratch/python" "$scratch/go" "$scratch/java"

[[ -z $server ]] || stop
