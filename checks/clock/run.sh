#!/usr/bin/env bash
# Sets the clock of a serving evenkeel forward and back by a day, under load, and checks that only the times in the log jump.
# The machine's own clock stays as it is: libfaketime gives the server another time.
#
# Needs Debian's package `libfaketime`, which it installs as root where it is not there, Go and Python 3.11. Installs
# NumPy and grpcio into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh
. .ci/debian.sh
. checks/python/server.sh

library() {
    local found
    found=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -n 1)
    [[ -n $found ]] && echo "$found"
}

if ! faketime=$(library); then
    debian libfaketime
    faketime=$(library)
fi

environment checks/python/requirements.txt
cargo build --release --locked --package evenkeel
for name in first second; do
    mkdir "$scratch/$name"
    self_signed "$scratch/$name" localhost
done
"$python" checks/clock/check.py --evenkeel "${CARGO_TARGET_DIR:-target}/release/evenkeel" --faketime "$faketime" \
    --folder "$scratch"
