#!/bin/bash
# Builds the adapter into the repository's target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=$PWD/../../target/java
mvn --batch-mode --quiet compile
mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath \
    -DincludeScope=runtime -Dmdep.outputFile="$build/classpath" >/dev/null
javac --release 17 -Xlint:all,-classfile -Werror -cp "$build/classes:$(<"$build/classpath")" -d "$build/conformance" \
    conformance/src/dev/evenkeel/client/conformance/*.java
