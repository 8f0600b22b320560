"""The status of a call of grpc.aio whose request is a stream.

If a server ends a call before it has the whole request, the write that is under way fails. grpc.aio then reports
`INTERNAL: Internal error from Core`, also where the server's status has come before: github.com/grpc/grpc/issues/36066.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
import grpc.aio

_REPLACEMENT = "Internal error from Core"
_TURNS = 100


class Statuses:
    """The statuses that a call has had. The first that is not of a failed write is the call's."""

    def __init__(self, call: Any) -> None:
        self._own: grpc.aio.AioRpcError | None = None
        self._call = call
        call.add_done_callback(self._record)

    def _record(self, call: Any) -> None:
        """Keep the status that the call has now. grpc.aio calls this whenever it sets one."""
        if self._own is None:
            code, details, trailers = (_now(get()) for get in (call.code, call.details, call.trailing_metadata))
            error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers or grpc.aio.Metadata(), details)
            if not _is_of_write(error):
                self._own = error

    async def error(self, reported: grpc.RpcError) -> Any:
        """Return the error with the server's status, if the reported one is of a failed write."""
        if not _is_of_write(reported):
            return reported
        for _ in range(_TURNS):
            if self._own is not None:
                return self._own
            await asyncio.sleep(0)  # The server's status may be among the events that are next.
        return reported


def _is_of_write(error: Any) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and (error.details() or "").startswith(_REPLACEMENT)


def _now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns that has nothing to wait for: the call is done."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    return None
