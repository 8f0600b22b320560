#!/usr/bin/env bash
# Builds the client and its adapter in the repository's target/, if the sources are not those of the last time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. ./place.sh adapter
lock
[[ $(cat "$root/built" 2>/dev/null) != "$fingerprint" ]] || exit 0
rm -f "$root/built"
copy
cd "$place"
npm run --silent build
npx --no-install tsc --project tsconfig.test.json
echo "$fingerprint" >"$root/built"
