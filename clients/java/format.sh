#!/bin/bash
# Formats the Java files by google-java-format, but for the generated ones.
#
#     bash clients/java/format.sh            # write
#     bash clients/java/format.sh --check    # fail if a file would change
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

version=1.28.0 # the last for Java 17
tools=$PWD/../../target/java-tools
jar=$tools/google-java-format-$version-all-deps.jar
if [[ ! -f $jar ]]; then
    mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="com.google.googlejavaformat:google-java-format:$version:jar:all-deps" -DoutputDirectory="$tools" >&2
fi
exports=()
for package in api code file parser tree util; do
    exports+=(--add-exports "jdk.compiler/com.sun.tools.javac.$package=ALL-UNNAMED")
done
action=(--replace)
[[ ${1-} != --check ]] || action=(--dry-run --set-exit-if-changed)
find . -name '*.java' -not -path './src/generated/*' -print0 |
    xargs -0 java "${exports[@]}" -jar "$jar" "${action[@]}"
