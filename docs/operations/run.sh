#!/usr/bin/env bash
# Runs the curl commands of the operations' pages as they stand there, and compares each answer with what is printed below it.
#
#     bash docs/operations/run.sh [--evenkeel PATH]
#
# PATH is the server's program; the default is the release build. The clients' own checks run the other examples. Needs curl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel
case "${1-}" in
    --evenkeel) evenkeel=${2:?--evenkeel needs a path} ;;
    '') ;;
    *) echo "usage: $0 [--evenkeel PATH]" >&2 && exit 64 ;;
esac
export NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1

scratch=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

# Writes each command to NUMBER.command and what the page prints below it to NUMBER.shown. A command begins with `$ ` in a
# `console` block, and goes on to the next line while a quote is open.
extract() {
    awk -v folder="$scratch" '
        /^```console$/ { inside = 1; command = ""; next }
        /^```/ { inside = 0; next }
        !inside { next }
        /^\$ / { number++; base = sprintf("%s/%03d", folder, number); command = substr($0, 3); print FILENAME > (base ".page")
                 print command > (base ".command"); printf "" > (base ".shown"); next }
        command == "" { print FILENAME ": a console block begins with a command: " $0 > "/dev/stderr"; exit 1 }
        gsub(/'\''/, "&", command) % 2 == 1 { command = command "\n" $0; print > (base ".command"); next }
        { print > (base ".shown") }
    ' docs/operations.md docs/operations/*.md
}
extract

mkfifo "$scratch/stdout"
env -i PATH="$PATH" "$evenkeel" serve --listen 127.0.0.1:0 --log-level warn >"$scratch/stdout" &
server=$!
# Waits until the server prints its address, or ends.
read -r line <"$scratch/stdout" || { echo "$evenkeel: the server did not start" >&2; exit 1; }
target=${line#listening on }

wrong=0 run=0
for command in "$scratch"/*.command; do
    base=${command%.command}
    grep -q 'curl .*localhost:50051/' <(tr '\n' ' ' <"$command") || {
        echo "$(<"$base.page"): not a call with curl: $(<"$command")" >&2
        wrong=$((wrong + 1))
        continue
    }
    run=$((run + 1))
    # A page has no progress bar, and curl ends an answer without a new line.
    sed "s/localhost:50051/$target/g; s/\bcurl /curl --silent --show-error /" "$command" >"$base.sh"
    bash -eo pipefail "$base.sh" >"$base.answer" || { echo "$(<"$base.page"): $(<"$command") failed" >&2; wrong=$((wrong + 1)); }
    [[ -s $base.shown ]] || {
        echo "$(<"$base.page"): nothing is printed below $(<"$command")" >&2
        wrong=$((wrong + 1))
        continue
    }
    diff <(cat "$base.shown") <(printf '%s\n' "$(<"$base.answer")") >"$base.diff" || {
        echo "$(<"$base.page"): the page (<) and the server (>) differ for $(<"$command")" >&2
        cat "$base.diff" >&2
        wrong=$((wrong + 1))
    }
done
((run > 0)) || { echo "the pages show no calls" >&2; exit 1; }
((wrong == 0)) || { echo "$wrong of $run calls are wrong" >&2; exit 1; }
echo "$run calls are answered as the pages show"
