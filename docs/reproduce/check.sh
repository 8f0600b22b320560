#!/usr/bin/env bash
# Runs the three programs of this folder on cases.txt and compares what they print with a server, byte by byte.
#
#   check.sh                       builds and starts a server on a free port, and stops it
#   check.sh --target HOST:PORT    asks the server that listens there
#
# Needs Python 3.11, Go 1.22 and Java 17. Installs NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=
case "${1-}" in
    --target) target=${2:?--target needs HOST:PORT} ;;
    '') ;;
    *) echo "usage: $0 [--target HOST:PORT]" >&2 && exit 64 ;;
esac

for tool in python3 go java; do
    command -v "$tool" >/dev/null || { echo "$0 needs $tool" >&2 && exit 1; }
done

export PYTHONDONTWRITEBYTECODE=1
here=docs/reproduce
venv=${EVENKEEL_PYTHON_VENV:-target/python}
[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
python=$(cd "$venv" && pwd)/bin/python
"$python" -m pip install --quiet --disable-pip-version-check --requirement clients/python/requirements.txt

scratch=$(mktemp -d)
server=
cleanup() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT

if [[ -z $target ]]; then
    cargo build --release --locked --package evenkeel
    mkfifo "$scratch/stdout"
    "${CARGO_TARGET_DIR:-target}/release/evenkeel" serve --listen 127.0.0.1:0 --log-level warn >"$scratch/stdout" &
    server=$!
    read -r line <"$scratch/stdout" # no end of waiting but the server's own end
    target=${line#listening on }
fi

"$python" $here/reproduce.py $here/cases.txt >"$scratch/python"
go run $here/reproduce.go $here/cases.txt >"$scratch/go"
java $here/Reproduce.java $here/cases.txt >"$scratch/java"
"$python" $here/compare.py --target "$target" $here/cases.txt "$scratch/python" "$scratch/go" "$scratch/java"

[[ -n $server ]] || exit 0
kill -TERM "$server"
wait "$server"
server=
