"""The connections of a client, and the calls of gRPC on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio

from .._address import Address
from .._aio_statuses import Statuses
from .._retries import Deadline
from .._status import error_of
from .._streams import R_co, Receiver

_SERVICE = "/evenkeel.v1.TensorOpsService/"


class Connections:
    """The connections of a client, which calls use in turn.

    Requests and responses are bytes here: grpc gets no serializers, so that nothing is copied on the way.
    """

    def __init__(self, address: Address, count: int) -> None:
        self._address = address
        self._count = count
        self._channels: list[grpc.aio.Channel] = []
        self._next = itertools.count()
        self._is_closed = False

    async def unary(self, method: str, message: bytes, deadline: Deadline) -> bytes:
        """Send one message, and return the one message of the response."""
        make: Any = self._channel().unary_unary(_SERVICE + method)
        try:
            answer: bytes = await make(message, **self._settings(deadline))
        except grpc.RpcError as error:
            raise error_of(error) from error
        return answer

    async def collected(self, method: str, messages: Iterator[bytes], deadline: Deadline) -> bytes:
        """Send a stream of messages, and return the one message of the response."""
        make: Any = self._channel().stream_unary(_SERVICE + method)
        try:
            call = make(messages, **self._settings(deadline))
            statuses = Statuses(call)
            answer: bytes = await call
        except grpc.RpcError as error:
            raise error_of(await statuses.error(error)) from error
        return answer

    async def exchanged(
        self, method: str, messages: Iterator[bytes], receiver: Receiver[R_co], deadline: Deadline
    ) -> R_co:
        """Send a stream of messages while the response is received, and return what the receiver makes of it."""
        make: Any = self._channel().stream_stream(_SERVICE + method)
        call = make(messages, **self._settings(deadline))
        statuses = Statuses(call)
        try:
            async for message in call:
                receiver.take(message)
        except grpc.RpcError as error:
            raise error_of(await statuses.error(error)) from error
        except BaseException:
            call.cancel()
            raise
        return receiver.finish()

    async def close(self) -> None:
        """Close all connections, and cancel the calls that are under way."""
        self._is_closed = True
        for channel in self._channels:
            await channel.close()

    def _settings(self, deadline: Deadline) -> dict[str, Any]:
        return {"timeout": deadline.left(), "metadata": self._address.metadata}

    def _channel(self) -> grpc.aio.Channel:
        """Return the connection of the next call. They are made for the first, in the event loop that runs then."""
        if self._is_closed:
            raise RuntimeError("the client is closed")
        if not self._channels:
            self._channels = [self._made() for _ in range(self._count)]
        return self._channels[next(self._next) % self._count]

    def _made(self) -> grpc.aio.Channel:
        target, credentials, options = self._address.target, self._address.credentials, self._address.options
        if credentials is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, credentials, options)
