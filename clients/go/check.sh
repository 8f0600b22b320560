#!/usr/bin/env bash
# Checks the Go client: stubs, format, linters, documentation, tests with the race detector, examples, and a program in a module of
# its own that uses the client as a user does.
#
#   check.sh [--evenkeel PATH]    the server's binary; default: target/release/evenkeel (or in CARGO_TARGET_DIR)
#
# Needs Go and a C compiler (for the race detector). Installs tools into target/go-tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. .ci/env.sh

staticcheck=v0.8.2 # of honnef.co/go/tools

evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel
case "${1-}" in
    --evenkeel) evenkeel=${2:?--evenkeel needs PATH} ;;
    '') ;;
    *) echo "usage: $0 [--evenkeel PATH]" >&2 && exit 64 ;;
esac
[[ -x $evenkeel ]] || { echo "no server at $evenkeel: build it, or name another with --evenkeel" >&2 && exit 1; }
EVENKEEL_BINARY=$(realpath "$evenkeel")
export EVENKEEL_BINARY

bash clients/go/generate.sh --check
tools=$PWD/target/go-tools
GOBIN=$tools go install "honnef.co/go/tools/cmd/staticcheck@$staticcheck"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cd clients/go
go mod verify >/dev/null
go mod tidy -diff
unformatted=$(gofmt -l .)
[[ -z $unformatted ]] || { echo "gofmt: $unformatted" >&2 && exit 1; }
go vet ./...
# All checks but those of comments' forms for packages, which the generated code does not follow.
"$tools/staticcheck" -checks 'all,-ST1000' $(go list ./... | grep -v '/v1$')
go run ./internal/documented . ./evenkeeltest ./internal/exact ./internal/philox ./internal/wire

go test -race ./...
# Integers of 32 bits, and another system than Linux, where the compiler at least has its say.
GOOS=darwin GOARCH=arm64 go vet ./evenkeeltest
GOARCH=386 go vet . ./internal/...

# As a user: another module, which has the client by its name.
mkdir "$scratch/user"
cp examples/first_call/main.go "$scratch/user"
client=$PWD
(
    cd "$scratch/user"
    go mod init user
    go mod edit -require=evenkeel.dev/go/evenkeel@v0.0.0 -replace="evenkeel.dev/go/evenkeel=$client"
    go mod tidy
) 2>/dev/null
(cd "$scratch/user" && go build -o ../first_call .)
for example in normalize dropout clip_gradients merge; do
    go build -o "$scratch/$example" "./examples/$example"
done
mkfifo "$scratch/stdout"
EVENKEEL_LOG_LEVEL=warn "$EVENKEEL_BINARY" serve --listen 127.0.0.1:0 >"$scratch/stdout" &
server=$!
trap 'kill $server; rm -rf "$scratch"' EXIT
read -r line <"$scratch/stdout"
export EVENKEEL_ADDRESS=${line#listening on }
"$scratch/first_call" | diff <(echo '[-1.3416355 -0.4472118 0.4472118 1.3416355]') -
for example in normalize dropout clip_gradients merge; do
    "$scratch/$example" | diff "../../docs/operations/printed/$example.txt" -
done
echo "the Go client passes all checks"
