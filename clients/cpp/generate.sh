#!/usr/bin/env bash
# Writes src/wire/fields.hpp again after a change to the proto; generate.sh FILE writes it elsewhere. Needs Python 3.9.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python3 "$here/generate.py" "$here/../../proto/evenkeel/v1/tensor_ops.proto" "${1:-$here/src/wire/fields.hpp}"
