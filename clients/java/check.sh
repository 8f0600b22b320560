#!/bin/bash
# Checks the Java client: stubs, format, lints, documentation, tests, and the first call from the packed jar.
#
#     bash clients/java/check.sh [--evenkeel PATH]
#
# Needs Java 17 and Maven 3.8. Writes into the repository's target/ and Maven's cache. The server is the file PATH, or
# ${CARGO_TARGET_DIR:-target}/release/evenkeel.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

root=$PWD/../..
evenkeel=${CARGO_TARGET_DIR:-$root/target}/release/evenkeel
case "${1-}" in
    --evenkeel) evenkeel=$(realpath "${2:?--evenkeel needs a path}") ;;
    '') ;;
    *) echo "usage: $0 [--evenkeel PATH]" >&2 && exit 64 ;;
esac
export EVENKEEL_BINARY=$evenkeel
export no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1
build=$root/target/java

echo "==> stubs and format"
bash generate.sh --check
bash format.sh --check

echo "==> lints, tests, documentation, jar"
mvn --batch-mode --quiet verify
bash conformance/prepare.sh

echo "==> the first call from the packed jar, and the other examples"
mvn --batch-mode --quiet org.apache.maven.plugins:maven-install-plugin:3.1.4:install-file \
    -Dfile="$build/evenkeel-client-0.1.0.jar" -DpomFile=pom.xml -DlocalRepositoryPath="$build/repository"
user=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$user"' EXIT
sed "s|REPOSITORY|file://$build/repository|" examples/pom.xml >"$user/pom.xml"
mkdir -p "$user/src/main/java"
cp examples/*.java "$user/src/main/java"
(cd "$user" && mvn --batch-mode --quiet compile \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath -Dmdep.outputFile=classpath >/dev/null)
mkfifo "$user/stdout"
EVENKEEL_LOG_LEVEL=warn "$evenkeel" serve --listen 127.0.0.1:0 >"$user/stdout" &
server=$!
read -r line <"$user/stdout"
export EVENKEEL_ADDRESS=${line#listening on }
example() { # example CLASS [ARGUMENT]
    java -cp "$user/target/classes:$(<"$user/classpath")" "$@"
}
example FirstCall "$EVENKEEL_ADDRESS" | diff <(echo '[-1.3416355, -0.4472118, 0.4472118, 1.3416355]') -
for pair in Normalize=normalize Dropout=dropout ClipGradients=clip_gradients Merge=merge; do
    example "${pair%=*}" | diff "$root/docs/operations/printed/${pair#*=}.txt" -
done
echo "the Java client passes"
