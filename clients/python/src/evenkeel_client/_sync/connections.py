"""Made from `_async/connections.py` by generate_sync.py; edit that file."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import grpc

from .._address import Address
from .._retries import Deadline
from .._status import error_of
from .._streams import R_co, Receiver, whole

_SERVICE = "/evenkeel.v1.TensorOpsService/"


class Connections:
    """The connections of a client, which calls use in turn.

    Requests and responses are bytes here: grpc gets no serializers, so that nothing is copied on the way.
    """

    def __init__(self, address: Address, count: int) -> None:
        self._address = address
        self._count = count
        self._channels: list[grpc.Channel] = []
        self._callables: dict[tuple[int, str], Any] = {}
        self._next = itertools.count()
        self._lock = threading.Lock()
        self._is_closed = False

    def unary(self, method: str, message: bytes, deadline: Deadline) -> bytes:
        """Send one message, and return the one message of the response."""
        make = self._made("unary_unary", method)
        try:
            answer: bytes = make(message, **self._settings(deadline))
        except grpc.RpcError as error:
            raise error_of(error) from error
        return whole(answer)

    def collected(self, method: str, messages: Iterator[bytes], deadline: Deadline) -> bytes:
        """Send a stream of messages, and return the one message of the response."""
        make = self._made("stream_unary", method)
        try:
            answer: bytes = make(messages, **self._settings(deadline))
        except grpc.RpcError as error:
            raise error_of(error) from error
        return whole(answer)

    def exchanged(self, method: str, messages: Iterator[bytes], receiver: Receiver[R_co], deadline: Deadline) -> R_co:
        """Send a stream of messages while the response is received, and return what the receiver makes of it."""
        make = self._made("stream_stream", method)
        call = make(messages, **self._settings(deadline))
        try:
            for message in call:
                receiver.take(message)
        except grpc.RpcError as error:
            raise error_of(error) from error
        except BaseException:
            call.cancel()
            raise
        return receiver.finish()

    def close(self) -> None:
        """Close all connections, and cancel the calls that are under way."""
        self._is_closed = True
        for channel in self._channels:
            channel.close()

    def _settings(self, deadline: Deadline) -> dict[str, Any]:
        return {"timeout": deadline.left(), "metadata": self._address.metadata}

    def _made(self, form: str, method: str) -> Any:
        """Return what makes calls of a method, on the connection whose turn it is."""
        if self._is_closed:
            raise RuntimeError("the client is closed")
        # The connections are made for the first call.
        channels = self._channels or self._connect()
        index = next(self._next) % self._count
        key = (index, method)
        if key not in self._callables:
            self._callables[key] = getattr(channels[index], form)(_SERVICE + method)
        return self._callables[key]

    def _connect(self) -> list[grpc.Channel]:
        with self._lock:
            self._channels = self._channels or [self._channel() for _ in range(self._count)]
            return self._channels

    def _channel(self) -> grpc.Channel:
        target, credentials, options = self._address.target, self._address.credentials, self._address.options
        if credentials is None:
            return grpc.insecure_channel(target, options)
        return grpc.secure_channel(target, credentials, options)
