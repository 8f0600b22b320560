#!/usr/bin/env bash
# Checks that a page in a browser can call evenkeel, with Connect's client of gRPC-Web in Node's fetch.
#
# Needs Node 20 and npm; installs what package-lock.json lists into target/web. Builds and starts a server on a free port.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. checks/python/server.sh
here=$PWD/checks/web
place=${CARGO_TARGET_DIR:-target}/web
mkdir -p "$place/checks/web" "$place/crates/proto/src"
cp "$here"/*.mjs "$here"/package*.json "$place/checks/web"
ln -sfn "$PWD/crates/proto/src/generated" "$place/crates/proto/src/generated"
(cd "$place/checks/web" && npm ci --silent --no-audit --no-fund --ignore-scripts)

serve --grpc-web --cors-origin https://app.example.com
(cd "$place/checks/web" && EVENKEEL_URL=http://$target node --test --test-timeout=60000 check.mjs)
stop
echo "all checks passed"
