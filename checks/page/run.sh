#!/usr/bin/env bash
# Clicks through the page at `/` in Chromium, against the service itself.
#
# Needs Node 20, npm, curl and Chromium: CHROMIUM names the program, or Debian's package `chromium` is there, or it is installed
# as root. Installs what package-lock.json lists into target/page. Builds and starts a server on a free port, or calls the one
# that is named:
#
#     bash checks/page/run.sh [--target HOST:PORT | --stand-in] [--screenshots]
#
# --stand-in: a small server in Node instead, for work on the page without a build. --screenshots: writes docs/page/*.png anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. .ci/debian.sh
. checks/python/server.sh
target=
is_standin=
while (($# > 0)); do
    case $1 in
        --target) target=${2:?--target needs HOST:PORT} && shift ;;
        --stand-in) is_standin=yes ;;
        --screenshots) export EVENKEEL_SCREENSHOTS=$PWD/docs/page ;;
        *) echo "usage: $0 [--target HOST:PORT | --stand-in] [--screenshots]" >&2 && exit 64 ;;
    esac
    shift
done

export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
if [[ ! -x $CHROMIUM ]]; then
    if [[ $CHROMIUM != /usr/bin/chromium ]]; then
        echo "FAILED: $CHROMIUM is not there (Debian: apt-get install chromium)" >&2
        exit 1
    fi
    debian chromium fonts-liberation
fi

place=${CARGO_TARGET_DIR:-target}/page
mkdir -p "$place/checks/page"
place=$(cd "$place" && pwd)
rm -f "$place"/checks/page/*.mjs
cp checks/page/*.mjs checks/page/package*.json "$place/checks/page"
ln -sfn "$PWD/src" "$place/src"
(cd "$place/checks/page" && npm ci --silent --no-audit --no-fund --ignore-scripts)

if [[ -z $target && -z $is_standin ]]; then
    serve
fi
[[ -z $target ]] || export EVENKEEL_PAGE=$target
(cd "$place/checks/page" && node --test --test-concurrency=1 --test-timeout=300000 ./*.test.mjs)
[[ -z $server ]] || stop
echo "all checks passed"
