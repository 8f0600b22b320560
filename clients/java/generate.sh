#!/bin/bash
# Writes src/generated/java from the proto, with pinned versions of protoc and its plugin for gRPC.
#
#     bash clients/java/generate.sh            # write
#     bash clients/java/generate.sh --check    # fail if what is committed differs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

protoc_version=3.25.8
plugin_version=1.83.1
tools=$PWD/../../target/java-tools
generated=src/generated/java

# tool GROUP NAME VERSION: prints the path of the executable, which Maven downloads once.
tool() {
    local file=$tools/$2-$3-linux-x86_64.exe
    if [[ ! -x $file ]]; then
        mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
            -Dartifact="$1:$2:$3:exe:linux-x86_64" -DoutputDirectory="$tools" >&2
        chmod +x "$file"
    fi
    echo "$file"
}

protoc=$(tool com.google.protobuf protoc $protoc_version)
plugin=$(tool io.grpc protoc-gen-grpc-java $plugin_version)
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
"$protoc" --proto_path=../../proto --plugin=protoc-gen-grpc-java="$plugin" --java_out="$output" \
    --grpc-java_out=@generated=omit:"$output" evenkeel/v1/tensor_ops.proto
if [[ ${1-} == --check ]]; then
    diff --recursive --brief "$output" "$generated" || { echo "stale stubs: run clients/java/generate.sh" >&2 && exit 1; }
else
    rm -rf "$generated"
    mkdir -p "$generated"
    cp -r "$output"/. "$generated"
fi
