#!/usr/bin/env bash
# Writes v1/, the generated stubs, again after a change to the proto; with --check only says whether they are up to date.
#
# Needs Go. Installs buf with .ci/install, and the plugins in these versions into target/go-tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh

protoc_gen_go=v1.36.12
protoc_gen_go_grpc=v1.6.2

bash .ci/install buf >&2
tools=$PWD/target/go-tools
GOBIN=$tools go install "google.golang.org/protobuf/cmd/protoc-gen-go@$protoc_gen_go"
GOBIN=$tools go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$protoc_gen_go_grpc"

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
buf generate proto --output "$made" --template '{"version": "v2", "plugins": [
    {"local": "'"$tools"'/protoc-gen-go", "out": ".", "opt": ["module=evenkeel.dev/go/evenkeel"]},
    {"local": "'"$tools"'/protoc-gen-go-grpc", "out": ".", "opt": ["module=evenkeel.dev/go/evenkeel"]}]}'
if [[ ${1-} == --check ]]; then
    diff -r "$made/v1" clients/go/v1 >&2 || { echo "run clients/go/generate.sh: the stubs are stale" >&2; exit 1; }
else
    rm -rf clients/go/v1
    mv "$made/v1" clients/go/v1
fi
