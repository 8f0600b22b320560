#!/usr/bin/env bash
# Builds the client and its adapter in the repository's target/, if the sources are not those of the last time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. ./place.sh
mkdir -p "$place"
exec 9>"$target/typescript/lock"
flock 9
sources=$(fingerprint)
[[ $(cat "$target/typescript/adapter" 2>/dev/null) != "$sources" ]] || exit 0
copy
install_packages
cd "$place"
npm run --silent build
npx --no-install tsc --project tsconfig.test.json
echo "$sources" >"$target/typescript/adapter"
