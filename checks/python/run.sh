#!/usr/bin/env bash
# Checks evenkeel from Python, with stubs generated from the proto alone.
#
#   run.sh                       builds and starts a server on a free port, checks it and the command line, stops it
#   run.sh --target HOST:PORT    checks the server that listens there
#
# Needs Python 3.11. Installs PyTorch and the rest into target/python, or into EVENKEEL_PYTHON_VENV.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

here=checks/python
. $here/server.sh
arguments "$@"
environment "$here/requirements-check.txt"
[[ -n $target ]] || serve

echo "==> first_call.py"
(
    cd "$scratch"
    "$python" -m grpc_tools.protoc -I "$OLDPWD/proto" --python_out=. --grpc_python_out=. evenkeel/v1/tensor_ops.proto
    sed "s/127.0.0.1:50051/$target/" "$OLDPWD/$here/first_call.py" >first_call.py
    "$python" first_call.py | tee answer
    grep -q -- '-1.34' answer
)

echo "==> check.py"
"$python" "$here/check.py" --target "$target"

[[ -n $server ]] || exit 0

# written OPERATION INPUT FLAG...: lets the command line write a file and compares it with PyTorch.
written() {
    local operation=$1 input=$2
    shift 2
    local output="$scratch/written.${input##*.}"
    "$evenkeel" "$operation" "$input" --output "$output" "$@" >/dev/null
    echo "==> evenkeel $operation $input $*"
    "$python" "$here/check_files.py" "$operation" "$input" "$output" "$@"
}
data=tests/data
written normalize $data/digits.npy --kind layer
written normalize $data/digits.npy --kind batch
written normalize $data/digits.npy --kind group --groups 1
written normalize $data/activations.npy --kind instance --channel-axis 2
written normalize $data/activations_half.safetensors --kind layer
written normalize $data/activations_half.safetensors --kind rms
written normalize $data/activations_half.safetensors --kind l2
written dropout $data/digits.npy --p 0.3 --seed 42
written dropout $data/activations_half.safetensors --p 0.5 --seed 7 --offset 3
written dropout $data/activations.npy --p 0.1 --kind feature-alpha
written clip $data/gradients.safetensors
written clip $data/gradients.safetensors --mode norm-per-tensor --threshold 10 --norm-type 1
written clip $data/gradients.safetensors --mode value --threshold 0.05

stop
echo "all checks passed"
