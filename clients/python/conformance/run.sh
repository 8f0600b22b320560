#!/usr/bin/env bash
# Starts the adapter, in the environment that prepare.sh has made. With --async it calls the asynchronous client.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../src
exec "$here/../../../target/python-client-conformance/bin/python" "$here/adapter.py" "$@"
