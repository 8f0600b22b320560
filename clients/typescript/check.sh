#!/usr/bin/env bash
# Checks the TypeScript client: generated code, formatting, lints, types, documentation, tests in Node and in Chromium, and the
# package, from which the first example runs in a new folder.
#
#     bash clients/typescript/check.sh [--evenkeel PROGRAM]
#
# Needs Node 20.11, npm, and Chromium: CHROMIUM names the program, or it is Debian's package `chromium`. Installs what
# package-lock.json lists into the repository's target/, and writes nowhere else. The server is ${CARGO_TARGET_DIR:-target}/release/evenkeel,
# if none is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

. ./place.sh check
EVENKEEL_BINARY=$target/release/evenkeel
case "${1-}" in
    --evenkeel) EVENKEEL_BINARY=$(realpath "${2:?--evenkeel needs a program}") ;;
    '') ;;
    *) echo "usage: $0 [--evenkeel PROGRAM]" >&2 && exit 64 ;;
esac
export EVENKEEL_BINARY
[[ -x $EVENKEEL_BINARY ]] || { echo "FAILED: there is no $EVENKEEL_BINARY" >&2 && exit 1; }

export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
[[ -x $CHROMIUM ]] || { echo "FAILED: $CHROMIUM is not there (Debian: apt-get install chromium)" >&2 && exit 1; }

lock
copy
cd "$place"
run() { npx --no-install "$@"; }

# The generated code is that of the contract.
bash generate.sh "$root/generated"
diff --recursive src/gen "$root/generated" ||
    { echo "FAILED: src/gen is stale; run clients/typescript/generate.sh" >&2 && exit 1; }
! grep --quiet '"resolved"' package-lock.json ||
    { echo "FAILED: package-lock.json has addresses; npm ci with this folder's .npmrc writes none" >&2 && exit 1; }

run prettier --check --log-level warn .
run tsc
run eslint .
run typedoc --logLevel Warn
npm run --silent build
npm test --silent

# The package, as a user installs it.
new=$root/new
rm -rf "$new" "$place"/*.tgz
mkdir -p "$new"
package=$place/$(npm pack --silent)
cp examples/*.mjs "$new"
cat >"$new/package.json" <<<'{"name": "new", "private": true, "type": "module"}'
cd "$new"
npm install --silent --no-audit --no-fund --no-save "$package"
cat >server.mjs <<'JS'
import { spawnSync } from "node:child_process";
import { startServer } from "@evenkeel/client/testing";

const server = await startServer();
const env = { ...process.env, EVENKEEL_ADDRESS: server.address };
const { status } = spawnSync(process.execPath, process.argv.slice(2), { env, stdio: "inherit" });
await server.stop();
process.exit(status ?? 1);
JS
node server.mjs first_call.mjs | grep --quiet -- '-1.3416'
for example in normalize dropout clip_gradients merge; do
    node server.mjs "$example.mjs" | diff "$repository/docs/operations/printed/$example.txt" -
done
echo "all checks passed"
