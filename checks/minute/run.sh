#!/usr/bin/env bash
# Counts every second from nothing to the first answer: an image or a program arrives on a machine that has nothing of it, starts, and
# the README's curl gets the README's answer. Prints the seconds of each step; fails above a minute, or at another answer.
#
#     bash checks/minute/run.sh [--evenkeel PATH | --image]
#
# PATH is the server's program, by default ${CARGO_TARGET_DIR:-target}/release/evenkeel. --image takes the container image that
# `just container` has built: its archive is loaded into an empty store (needs root and buildah). Needs curl. The building of either
# is not counted, as it is not a user's. Writes to a temporary folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

most=60
fail() { echo "FAILED: $*" >&2 && exit 1; }

evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel with_image=''
while (($# > 0)); do
    case $1 in
        --evenkeel) evenkeel=${2:?--evenkeel needs a path} && shift ;;
        --image) with_image=yes ;;
        *) echo "usage: $0 [--evenkeel PATH | --image]" >&2 && exit 64 ;;
    esac
    shift
done

scratch=$(mktemp -d)
. deploy/server.sh
finish() {
    stop_servers
    rm -rf "$scratch"
}
trap finish EXIT

# The README's first curl, and the line below it, which is the answer.
mapfile -t readme < <(grep --after-context 1 --max-count 1 '^\$ curl ' README.md | sed 's/^\$ //')
((${#readme[@]} == 2)) || fail 'the README has no curl with an answer'

total=0
step() { # step NAME COMMAND...: runs it, and prints and adds its seconds.
    local began=$EPOCHREALTIME name=$1 took
    "${@:2}"
    took=$(awk "BEGIN { print $EPOCHREALTIME - $began }")
    total=$(awk "BEGIN { print $total + $took }")
    printf '%-34s %7.2f s\n' "$name" "$took"
}

if [[ -n $with_image ]]; then
    . deploy/image.sh
    has_image "$image" || fail "there is no image $image: run \`just container\`"
    store push --quiet "$image" "docker-archive:$scratch/image.tar:$image"
    state=$scratch/empty
    load() { store pull --quiet "docker-archive:$scratch/image.tar" >/dev/null; }
    start() { serve_image "$scratch"; }
    step "load the image ($(($(stat --format %s "$scratch/image.tar") >> 20)) MiB)" load
else
    [[ -x $evenkeel ]] || fail "there is no program $evenkeel"
    load() { cp "$evenkeel" "$scratch/evenkeel"; }
    start() { serve_program "$scratch/evenkeel" "$scratch"; }
    step "copy the program ($(($(stat --format %s "$evenkeel") >> 20)) MiB)" load
fi
step 'start it, until it listens' start

call() { answer=$(eval "${readme[0]/localhost:50051/$address} --silent --show-error --max-time $most --noproxy '*'"); }
step 'the first call with curl' call
printf '%-34s %7.2f s\n' 'in all' "$total"
[[ $answer == "${readme[1]}" ]] || fail "curl answered $answer"
awk "BEGIN { exit !($total < $most) }" || fail "more than $most seconds"
