"""What every call of a client has in common: limits, time limits, and retries."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import grpc

from .._limits import UNKNOWN, UNLIMITED_BYTES, Limits, server_info, version_warning
from .._options import seconds
from .._proto import tensor_ops_pb2 as pb
from .._retries import Deadline, Retries
from .._streams import R_co, Receiver
from .._tensors import parsed
from ..errors import DeadlineExceeded, EvenkeelError, Overloaded, VersionWarning
from ..results import ServerInfo
from .connections import Connections

T = TypeVar("T")


class Caller:
    """Makes the calls of a client. The classes with its methods are based on this one."""

    def __init__(self, connections: Connections, timeout: float | None, retries: int) -> None:
        self._connections = connections
        self._timeout = timeout
        self._retries = retries
        self._known_limits: Limits | None = None
        self._is_version_checked = False

    def _deadline(self, timeout: float | None) -> Deadline:
        """Begin the time of a call; `None` is the client's time limit."""
        return Deadline(self._timeout if timeout is None else seconds("timeout", timeout))

    async def _unary(self, method: str, parts: list[bytes | memoryview], deadline: Deadline) -> bytes:
        # grpc takes bytes alone, so the parts must be joined: the only copy of the elements in this package.
        message = b"".join(parts)
        return await self._retried(lambda: self._connections.unary(method, message, deadline), deadline)

    async def _collected(self, method: str, frames: Callable[[], Iterator[bytes]], deadline: Deadline) -> bytes:
        return await self._retried(lambda: self._connections.collected(method, frames(), deadline), deadline)

    async def _exchanged(
        self,
        method: str,
        frames: Callable[[], Iterator[bytes]],
        receiver: Callable[[], Receiver[R_co]],
        deadline: Deadline,
    ) -> R_co:
        """Make a call in chunks. A retry begins it anew: the elements are still in the arrays."""
        return await self._retried(
            lambda: self._connections.exchanged(method, frames(), receiver(), deadline), deadline
        )

    async def _retried(self, attempt: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        retries = Retries(self._retries, deadline)
        while True:
            try:
                return await attempt()
            except EvenkeelError as error:
                delay = retries.delay(error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def _limits(self, message_bytes: int, deadline: Deadline) -> Limits:
        """Return the server's limits; they are asked for when the first large message is to be sent."""
        if self._known_limits is not None:
            return self._known_limits
        if message_bytes <= UNLIMITED_BYTES:
            return UNKNOWN
        try:
            await self._info(deadline)
        except EvenkeelError as error:
            if error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
            if isinstance(error, DeadlineExceeded | Overloaded):
                raise
            # The server is older than this call, or a proxy refuses it. What is wrong otherwise, the call itself will tell.
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                self._known_limits = UNKNOWN
        return self._known_limits or UNKNOWN

    async def _info(self, deadline: Deadline) -> ServerInfo:
        """Ask the server what it is, and keep its limits."""
        message = await self._unary("GetServerInfo", [], deadline)
        info = server_info(parsed(pb.GetServerInfoResponse, message))
        self._known_limits = Limits.of(info)
        warning = version_warning(info.version)
        if warning is not None and not self._is_version_checked:
            warnings.warn(warning, VersionWarning, stacklevel=2)
        self._is_version_checked = True
        return info
