"""The message classes of `evenkeel.v1`, made from the committed descriptor set.

They are in a pool of their own: a program may have stubs of the same proto, of this or another version, in the default
pool. Nor do they depend on the version of protobuf that a generator was made for.
"""

from importlib import resources
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "evenkeel.v1."


def _description() -> bytes:
    return resources.files(__package__).joinpath("tensor_ops.binpb").read_bytes()


def _load() -> dict[str, Any]:
    files = descriptor_pb2.FileDescriptorSet.FromString(_description())
    pool = descriptor_pool.DescriptorPool()
    names: dict[str, Any] = {}
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
        for message in file.message_type:
            names[message.name] = message_factory.GetMessageClass(pool.FindMessageTypeByName(_PACKAGE + message.name))
        for enum in file.enum_type:
            # The type checker distinguishes the numbers of enums, and at run time they are integers.
            names[enum.name] = SimpleNamespace(ValueType=int)
            names |= {value.name: value.number for value in enum.value}
    return names


globals().update(_load())
