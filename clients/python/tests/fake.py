"""A server that answers as a test tells it to, and counts its calls."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from evenkeel_client import __version__
from evenkeel_client._proto import tensor_ops_pb2 as pb
from evenkeel_client._wire import prefix, varint

if TYPE_CHECKING:
    from typing_extensions import Self

Answer = Callable[[int, Any, Any], Any]
"""Makes the answer, from the number of the call, from 0 on, and from the request and the context of grpc."""


class Fake(grpc.GenericRpcHandler):
    """Answers each method by the function that `answers` has for it; GetServerInfo by itself."""

    def __init__(self, answers: dict[str, Answer], version: str = __version__, **limits: int) -> None:
        self.answers = answers
        self.calls: Counter[str] = Counter()
        self.info = pb.GetServerInfoResponse(
            version=version, max_message_bytes=64 << 20, max_stream_chunk_bytes=1 << 20
        )
        for name, limit in limits.items():
            setattr(self.info, name, limit)
        self.seen = threading.Condition()
        self.server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)])
        self.server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]

        def answered(request: Any, context: Any) -> Any:
            with self.seen:
                number = self.calls[method]
                self.calls[method] += 1
            if method == "GetServerInfo" and method not in self.answers:
                return self.info.SerializeToString()
            return self.answers[method](number, request, context)

        def streamed(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            yield from answered(requests, context)

        if method.endswith("Stream"):
            return grpc.stream_stream_rpc_method_handler(streamed)
        if method.startswith("Measure"):
            return grpc.stream_unary_rpc_method_handler(answered)
        return grpc.unary_unary_rpc_method_handler(answered)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(None).wait()


def field(number: int, content: bytes) -> bytes:
    return prefix(number, len(content)) + content


def status(code: grpc.StatusCode, message: str, *details: tuple[str, bytes]) -> bytes:
    """Return a `google.rpc.Status` with details, each by its name and its bytes."""
    packed = (field(1, b"type.googleapis.com/google.rpc." + name.encode()) + field(2, data) for name, data in details)
    number = varint(1 << 3) + varint(code.value[0])
    return number + field(2, message.encode()) + b"".join(field(3, detail) for detail in packed)


def error_info(reason: str, domain: str = "evenkeel", **metadata: str) -> tuple[str, bytes]:
    entries = (field(3, field(1, key.encode()) + field(2, value.encode())) for key, value in metadata.items())
    return "ErrorInfo", field(1, reason.encode()) + field(2, domain.encode()) + b"".join(entries)


def retry_info(seconds: int, nanos: int = 0) -> tuple[str, bytes]:
    return "RetryInfo", field(1, varint(1 << 3) + varint(seconds) + varint(2 << 3) + varint(nanos))


def abort(context: Any, code: grpc.StatusCode, *details: tuple[str, bytes]) -> Any:
    trailer = status(code, "as the test says", *details)
    context.set_trailing_metadata((("grpc-status-details-bin", trailer),))
    context.abort(code, "as the test says")


def normalized(request: bytes) -> bytes:
    """Return an answer with the input as the output, and statistics of rows that are all 0."""
    message = pb.NormalizeRequest.FromString(request)
    answer = pb.NormalizeResponse(axes=[1], output=message.input)
    if message.return_statistics:
        rows = message.input.shape[:-1]
        zeros = pb.Tensor(dtype=pb.DataType.ValueType(1), shape=rows, data=bytes(4 * math.prod(rows)))
        answer.mean.CopyFrom(zeros)
        answer.rstd.CopyFrom(zeros)
    return answer.SerializeToString()
