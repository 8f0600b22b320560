#!/usr/bin/env bash
# Writes src/gen anew from the contract and from proto/, with the versions of buf and protoc-gen-es that package.json pins.
#
#     bash generate.sh [FOLDER]     another folder than src/gen
#
# Needs node_modules (npm ci), here or where EVENKEEL_NODE_MODULES says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out=$(realpath -m "${1:-src/gen}")
modules=$(realpath "${EVENKEEL_NODE_MODULES:-node_modules}")

template='{"version":"v2","plugins":[{"local":["'$modules'/.bin/protoc-gen-es"],"out":"'$out'","opt":["target=ts","import_extension=js"]}]}'
rm -rf "$out"
for contract in ../../proto proto; do
    "$modules/.bin/buf" generate "$contract" --template "$template"
done
