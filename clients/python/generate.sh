#!/usr/bin/env bash
# Writes what is generated: the description of the contract with its types (from proto/), and the synchronous client (from the
# asynchronous one).
#
#   generate.sh            writes into src/
#   generate.sh --check    fails if what is in src/ is not what would be written
#
# Needs Python 3.10 or later. Installs the pinned generators into target/python-client-generate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

root=../..
venv=$root/target/python-client-generate
proto=src/evenkeel_client/_proto
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet grpcio-tools==1.85.1 mypy-protobuf==5.1.0 ruff==0.17.6

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
PATH=$venv/bin:$PATH "$venv/bin/python" -m grpc_tools.protoc -I "$root/proto" \
    --descriptor_set_out="$made/tensor_ops.binpb" --mypy_out=quiet,readable_stubs:"$made" evenkeel/v1/tensor_ops.proto
mv "$made/evenkeel/v1/tensor_ops_pb2.pyi" "$made/tensor_ops_pb2.pyi"

if [[ ${1-} == --check ]]; then
    for name in tensor_ops.binpb tensor_ops_pb2.pyi; do
        cmp "$made/$name" "$proto/$name" || { echo "$proto/$name is stale: run generate.sh" >&2 && exit 1; }
    done
    "$venv/bin/python" generate_sync.py --check
else
    cp "$made/tensor_ops.binpb" "$made/tensor_ops_pb2.pyi" "$proto/"
    "$venv/bin/python" generate_sync.py
fi
