#!/usr/bin/env bash
# Builds the adapter under the repository's target/cpp.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../../target/cpp/build
cmake -S "$here/.." -B "$build" -G Ninja -DEVENKEEL_DEVELOPER=ON -DCMAKE_BUILD_TYPE=Release >&2
cmake --build "$build" --target conformance >&2
