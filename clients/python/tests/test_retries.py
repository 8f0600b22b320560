from __future__ import annotations

import time
from typing import Any

import grpc
import numpy as np
import pytest
from fake import Fake, abort, error_info, normalized, retry_info

from evenkeel_client import (
    DeadlineExceeded,
    EvenkeelError,
    Internal,
    MessageTooLarge,
    NeedsTwoPasses,
    Overloaded,
    Unavailable,
    VersionWarning,
)
from evenkeel_client._retries import Deadline, Retries

X = np.ones((1, 4), np.float32)
LARGE = np.ones((64, 64), np.float32)
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def refuse(times: int, code: grpc.StatusCode, *details: tuple[str, bytes]) -> Any:
    def answer(number: int, request: bytes, context: Any) -> bytes:
        return normalized(request) if number >= times else abort(context, code, *details)

    return answer


def test_an_overloaded_server_is_asked_again_after_its_delay(clients: Any) -> None:
    details = error_info("OVERLOADED"), retry_info(0, 50_000_000)
    with Fake({"Normalize": refuse(2, EXHAUSTED, *details)}) as server:
        began = time.monotonic()
        assert np.array_equal(clients(server.address).layer_norm(X).output, X)
        assert server.calls["Normalize"] == 3
        assert time.monotonic() - began >= 0.1


def test_a_call_is_tried_no_more_often_than_the_setting_says(clients: Any) -> None:
    details = error_info("OVERLOADED"), retry_info(0, 1_000_000)
    with Fake({"Normalize": refuse(9, EXHAUSTED, *details)}) as server:
        with pytest.raises(Overloaded) as caught:
            clients(server.address, retries=2).layer_norm(X)
        assert (server.calls["Normalize"], caught.value.retry_after) == (3, 0.001)


def test_a_delay_beyond_the_deadline_is_not_waited_for(clients: Any) -> None:
    with Fake({"Normalize": refuse(9, EXHAUSTED, error_info("OVERLOADED"), retry_info(3600))}) as server:
        began = time.monotonic()
        with pytest.raises(Overloaded) as caught:
            clients(server.address).layer_norm(X, timeout=30)
        assert (server.calls["Normalize"], caught.value.retry_after) == (1, 3600)
        assert time.monotonic() - began < 10


def test_a_server_that_is_away_is_asked_again(clients: Any) -> None:
    with Fake({"Normalize": refuse(1, grpc.StatusCode.UNAVAILABLE)}) as server:
        clients(server.address).layer_norm(X)
        assert server.calls["Normalize"] == 2


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("MESSAGE_TOO_LARGE", MessageTooLarge),
        ("METADATA_TOO_LARGE", MessageTooLarge),
        ("NEEDS_TWO_PASSES", NeedsTwoPasses),
    ],
)
def test_what_would_be_refused_again_is_not_tried_again(clients: Any, reason: str, kind: type[EvenkeelError]) -> None:
    with Fake({"Normalize": refuse(1, EXHAUSTED, error_info(reason))}) as server:
        with pytest.raises(kind) as caught:
            clients(server.address).layer_norm(X)
        assert (server.calls["Normalize"], caught.value.reason) == (1, reason)


def test_other_errors_are_not_tried_again(clients: Any) -> None:
    with Fake({"Normalize": refuse(1, grpc.StatusCode.INTERNAL)}) as server:
        with pytest.raises(Internal):
            clients(server.address).layer_norm(X)
        assert server.calls["Normalize"] == 1


def test_a_reason_of_another_domain_means_nothing(clients: Any) -> None:
    with Fake({"Normalize": refuse(1, EXHAUSTED, error_info("OVERLOADED", "example.com"))}) as server:
        with pytest.raises(EvenkeelError) as caught:
            clients(server.address).layer_norm(X)
        assert (type(caught.value), caught.value.reason, server.calls["Normalize"]) == (EvenkeelError, None, 1)


def test_no_server_is_unavailable_and_the_connection_is_made_later(clients: Any) -> None:
    with Fake({"Normalize": refuse(0, grpc.StatusCode.OK)}) as server:
        address = server.address
    with pytest.raises(Unavailable):
        clients(address, retries=1).layer_norm(X)


def test_the_deadline_ends_a_call_that_the_server_does_not_end(clients: Any) -> None:
    def hang(number: int, request: bytes, context: Any) -> bytes:
        del number, request
        while context.is_active():
            time.sleep(0.01)
        return b""

    with Fake({"Normalize": hang}) as server:
        with pytest.raises(DeadlineExceeded) as caught:
            clients(server.address, timeout=0.2).layer_norm(X)
        assert isinstance(caught.value, TimeoutError)


def test_a_stream_is_tried_again_from_its_beginning(clients: Any) -> None:
    from evenkeel_client._proto import tensor_ops_pb2 as pb  # noqa: PLC0415

    def answer(number: int, requests: Any, context: Any) -> Any:
        header = pb.NormalizeStreamRequest.FromString(next(requests)).header
        yield pb.NormalizeStreamResponse(header=pb.NormalizeResponse(axes=[1], output=header.input)).SerializeToString()
        for count, request in enumerate(requests):
            if number == 0 and count == 1:
                abort(context, grpc.StatusCode.UNAVAILABLE)
            yield pb.NormalizeStreamResponse(
                data=pb.NormalizeStreamRequest.FromString(request).data
            ).SerializeToString()
        yield pb.NormalizeStreamResponse(summary=pb.NormalizeResponse()).SerializeToString()

    x = np.arange(4096, dtype=np.float32).reshape(64, 64)
    with Fake({"NormalizeStream": answer}, max_message_bytes=8192, max_stream_chunk_bytes=1024) as server:
        assert np.array_equal(clients(server.address).layer_norm(x).output, x)
        assert server.calls["NormalizeStream"] == 2


def test_limits_are_asked_for_once_and_not_for_small_calls(clients: Any) -> None:
    with Fake({"Normalize": refuse(0, grpc.StatusCode.OK)}) as server:
        client = clients(server.address)
        client.layer_norm(X, return_statistics=True)
        assert server.calls["GetServerInfo"] == 0
        for _ in range(3):
            client.layer_norm(LARGE)
        assert server.calls["GetServerInfo"] == 1


def test_an_old_server_without_limits_is_called_all_the_same(clients: Any) -> None:
    def unknown(number: int, request: bytes, context: Any) -> Any:
        del number, request
        return abort(context, grpc.StatusCode.UNIMPLEMENTED)

    with Fake({"Normalize": refuse(0, grpc.StatusCode.OK), "GetServerInfo": unknown}) as server:
        client = clients(server.address)
        for _ in range(2):
            client.layer_norm(LARGE)
        assert (server.calls["GetServerInfo"], server.calls["Normalize"]) == (1, 2)


def test_a_version_that_is_far_away_is_warned_of_once(clients: Any) -> None:
    with Fake({"Normalize": refuse(0, grpc.StatusCode.OK)}, version="0.3.0") as server:
        client = clients(server.address)
        with pytest.warns(VersionWarning, match=r"0\.3\.0"):
            client.layer_norm(LARGE)
        client.server_info()  # A second warning would be an error.


def test_backoff_doubles_and_ends() -> None:
    retries = Retries(8, Deadline(None))
    delays = [retries.delay(Unavailable("away")) for _ in range(9)]
    assert delays.pop() is None
    limits = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)
    for delay, limit in zip(delays, limits, strict=True):
        assert delay is not None
        assert limit / 2 <= delay <= limit


def test_a_deadline_that_has_passed_is_an_error() -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline(0).left()
    assert Deadline(None).left() is None
    assert not Deadline(1).allows(2)
    assert Deadline(None).allows(1e9)
