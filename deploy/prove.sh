#!/usr/bin/env bash
# Builds the image from the Dockerfile and proves that it works, without a container engine: as root on Debian, with
# buildah and debootstrap (`apt-get install buildah debootstrap`), Rust, and Python 3.11 for the client.
#
# The script builds the two base images under the names that the Dockerfile uses: Debian from debootstrap, Rust from that
# and this machine's toolchain. It keeps everything in target/container; remove that folder to start afresh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh
. deploy/image.sh

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

say() {
    printf '\n==> %s\n' "$*"
}

for program in buildah debootstrap cargo python3; do
    command -v "$program" >/dev/null || fail "$program is not on the PATH"
done
[[ $(id -u) == 0 ]] || fail "chroot and debootstrap need root"
mkdir -p "$state"

# debian_base NAME PACKAGES FINISH: commits a minimal Debian with PACKAGES as NAME, after FINISH has seen its tree.
debian_base() {
    has_image "$1" && return
    say "base image $1"
    local container tree
    container=$(store from scratch)
    tree=$(store mount "$container")
    debootstrap --variant=minbase ${2:+--include="$2"} bookworm "$tree" >"$state/debootstrap.log" \
        || fail "debootstrap: see $state/debootstrap.log"
    # The published slim image has no such files either.
    rm -rf "$tree"/var/{cache/apt/archives,lib/apt/lists}/* "$tree"/usr/share/{doc,info,locale,man}/*
    "$3" "$container" "$tree"
    store unmount "$container" >/dev/null
    store commit --rm --quiet "$container" "$1" >/dev/null
}

plain() {
    store config --cmd bash "$1"
}

with_rust() {
    cp -a "$(rustc --print sysroot)" "$2/usr/local/rust"
    store config --env CARGO_HOME=/usr/local/cargo \
        --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$1"
}

mapfile -t bases < <(sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile)
[[ ${#bases[@]} == 2 ]] || fail "the Dockerfile should have a build stage and a final stage"
debian_base "${bases[0]}" gcc,libc6-dev with_rust
debian_base "${bases[1]}" "" plain

say "image $image"
# The crates come from this machine's cache, so that the build needs no network of its own.
cargo fetch --locked
store bud --pull-never --format docker --tag "$image" \
    --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/usr/local/cargo/registry" .
# Removes the containers of runs that were interrupted, and the image that this one has replaced.
store rm --all >/dev/null
store rmi --prune >/dev/null

# setting KEY: a list in the image's configuration, one entry a line. The commands below are those of the image.
setting() {
    store inspect --type image "$image" | python3 -c '
import json, sys
value = json.load(sys.stdin)["Docker"]["config"]
for key in sys.argv[1].split("."):
    value = value[key]
print(*value, sep="\n")' "$1"
}
mapfile -t entrypoint < <(setting Entrypoint)
mapfile -t command < <(setting Cmd)
mapfile -t health < <(setting Healthcheck.Test)
[[ ${health[0]} == CMD ]] || fail "the health check is not a command: ${health[*]}"

say "container: ${entrypoint[*]} ${command[*]}"
container=$(store from --pull-never "$image")
# The settings are those of deploy/compose.yaml but for the addresses: the container shares this machine's network.
mapfile -t settings < <(sed -n 's/^ *\(EVENKEEL_[A-Z_]*\): *"\{0,1\}\([^"# ]*\).*/--env=\1=\2/p' deploy/compose.yaml)
[[ ${settings[*]} == *EVENKEEL_METRICS_LISTEN* ]] || fail "deploy/compose.yaml does not serve metrics: ${settings[*]}"
inside() { # inside ADDRESS COMMAND...: runs a command in the container, as the image's user
    store run --isolation chroot "${settings[@]}" --env "EVENKEEL_LISTEN=$1" \
        --env EVENKEEL_METRICS_LISTEN=127.0.0.1:0 "$container" -- "${@:2}"
}
inside 127.0.0.1:0 "${entrypoint[@]}" "${command[@]}" >"$state/stdout" 2>"$state/stderr" &
runner=$!
cleanup() {
    kill "${service:-$runner}" 2>/dev/null || true # it has ended already if all checks have passed
    wait "$runner" || true
    store rm "$container" >/dev/null
}
trap cleanup EXIT

# until_true WHAT COMMAND...: repeats a command for at most a minute, as long as the container lives.
until_true() {
    local what=$1 tries=0
    shift
    until "$@"; do
        kill -0 "$runner" 2>/dev/null || fail "$what: the container has ended: $(cat "$state/stderr")"
        ((++tries < 120)) || fail "$what: not within a minute"
        sleep 0.5
    done
}
until_true "the first line" grep -q '^listening on ' "$state/stdout"
address=$(sed -n '1s/^listening on //p' "$state/stdout")
until_true "health" inside "$address" "${health[@]:1}"

service=$(service_of "$runner")
uid=$(awk '/^Uid:/ { print $2 }' "/proc/$service/status")
[[ $(readlink "/proc/$service/exe") == */evenkeel ]] || fail "process $service is not the service"
[[ $uid != 0 ]] || fail "the service runs as root"
echo "healthy at $address, process $service, user $uid"

say "a Python client calls it"
bash checks/python/run.sh --target "$address"

say "its metrics"
metrics=$(sed -n 's/.*"message":"serving metrics","address":"\([^"]*\)".*/\1/p' "$state/stderr")
[[ -n $metrics ]] || fail "the log does not say where the metrics are: $(cat "$state/stderr")"
python3 -c '
import sys, urllib.request
text = urllib.request.urlopen(f"http://{sys.argv[1]}/metrics", timeout=10).read().decode()
series = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
calls = sum(float(value) for name, value in series.items()
            if name.startswith("grpc_server_handled_total{") and "Normalize\"" in name and "\"OK\"" in name)
assert calls > 0, "no call of Normalize was counted"
resident = float(series["process_resident_memory_bytes"]) / 2**20
print(f"{len(series)} series, {calls:.0f} calls of Normalize, {resident:.0f} MiB resident")' "$metrics"

say "SIGTERM"
stopping=$SECONDS
kill -TERM "$service"
status=0
wait "$runner" || status=$?
[[ $status == 0 ]] || fail "the service exited with $status: $(cat "$state/stderr")"
grep -q drained "$state/stderr" || fail "the service did not drain: $(cat "$state/stderr")"
! inside "$address" "${health[@]:1}" 2>/dev/null || fail "the health check passes without a service"
echo "drained and exited with 0 within $((SECONDS - stopping + 1)) s; the health check fails now"

say "passed"
store images "$image"
