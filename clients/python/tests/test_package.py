"""The package as a whole: its generated half, its examples, what it imports, and that it leaves other stubs alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import evenkeel_client
from evenkeel_client.testing import Server

HERE = Path(__file__).resolve().parent.parent
EXAMPLES = sorted(path.name for path in (HERE / "examples").glob("*.py"))

EXPECTED = {
    "first_call.py": "-1.3416355",
    "normalize.py": "grad_weight",
    "dropout.py": "same mask yes",
    "clip_gradients.py": "total_norm 5.0",
    "merge.py": "total_norm 5.0000000\nelements 2",
    "many_calls.py": "kept [",
}


def run(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-W", "error", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_synchronous_client_is_not_stale() -> None:
    run(str(HERE / "generate_sync.py"), "--check")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_print_their_results(name: str, evenkeel_server: Server) -> None:
    printed = run(str(HERE / "examples" / name), EVENKEEL_ADDRESS=evenkeel_server.address)
    assert EXPECTED[name] in printed


def test_torch_and_ml_dtypes_are_not_imported() -> None:
    program = "import sys, evenkeel_client; assert not {'torch', 'ml_dtypes', 'pytest'} & set(sys.modules)"
    run("-c", program)


def test_stubs_of_another_version_of_the_proto_can_be_imported_beside_this_package() -> None:
    program = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
import evenkeel_client
file = descriptor_pb2.FileDescriptorProto(name="evenkeel/v1/tensor_ops.proto", package="evenkeel.v1", syntax="proto3")
file.message_type.add(name="Tensor").field.add(name="other", number=1, type=3, label=1)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
descriptor = descriptor_pool.Default().FindMessageTypeByName("evenkeel.v1.Tensor")
assert message_factory.GetMessageClass(descriptor)(other=3).other == 3
from evenkeel_client._proto import tensor_ops_pb2 as own
assert own.Tensor(name="x").name == "x"
"""
    run("-c", program)


def test_public_names_are_there() -> None:
    for name in evenkeel_client.__all__:
        assert getattr(evenkeel_client, name) is not None


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type[Any]) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert methods(evenkeel_client.Client) == methods(evenkeel_client.AsyncClient)
