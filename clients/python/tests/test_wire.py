from __future__ import annotations

import pytest

from evenkeel_client import ProtocolError
from evenkeel_client._proto import tensor_ops_pb2 as pb
from evenkeel_client._tensors import split
from evenkeel_client._wire import fields, prefix, read_varint, varint


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63, 2**64 - 1])
def test_numbers_come_back(number: int) -> None:
    encoded = varint(number)
    assert read_varint(encoded, 0) == (number, len(encoded))


def test_fields_of_every_type_are_found() -> None:
    message = pb.DropoutRequest(p=0.5, seed=2**64 - 1, return_mask=True, input=pb.Tensor(name="x" * 300))
    data = message.SerializeToString()
    found = {field.number: data[field.begin : field.end] for field in fields(data)}
    assert set(found) == {1, 2, 6, 15}
    assert found[15] == message.input.SerializeToString()
    assert fields(prefix(3, 0)).__next__().has_length


def test_any_cut_of_a_message_is_an_error_or_a_message() -> None:
    data = pb.DropoutResponse(
        kept=300, mask=b"123", output=pb.Tensor(name="x", shape=[3], data=b"abc")
    ).SerializeToString()
    for end in range(len(data)):
        try:
            rest, received = split(data[:end], frozenset((15,)))
        except ProtocolError:
            continue
        again = pb.DropoutResponse.FromString(rest)
        assert len(received) == 0
        assert again.kept in (0, 300)


@pytest.mark.parametrize("data", [b"\x80", b"\x80" * 11, b"\x0b", b"\x7a\x05abcd", b"\x09\x00"])
def test_what_is_no_message_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(fields(data))
