"""The limits of a server: they decide which calls are streams, and how long the chunks are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ._dtypes import BY_NUMBER
from ._options import kind_of
from ._proto import tensor_ops_pb2 as pb
from ._version import __version__
from .results import ServerInfo

UNLIMITED_BYTES = 1 << 10
"""No server has a lower limit for messages, so calls up to this size are made without asking for it."""

_CHUNK_BYTES = 1 << 20
_MESSAGE_OVERHEAD = 16
_PREFERRED_STREAM_BYTES = 8 << 20
_VERSION_LENGTH = 64
"""The characters of a server's version in a warning."""


@dataclass(frozen=True)
class Limits:
    """The limits of a server."""

    max_message_bytes: float
    max_stream_chunk_bytes: int

    @classmethod
    def of(cls, info: ServerInfo) -> Limits:
        """Take the limits that a server tells."""
        return cls(info.max_message_bytes, info.max_stream_chunk_bytes)

    def is_streamed(self, message_bytes: int, *, is_incremental: bool) -> bool:
        """Return whether a call with messages of so many bytes is a stream.

        It is where the server takes no such message. An incremental call, of which the server holds no more than some
        chunks, is a stream for large tensors too: it is faster, since both directions and the computation overlap.
        """
        if self.max_stream_chunk_bytes == 0:
            return False
        is_preferred = is_incremental and message_bytes >= _PREFERRED_STREAM_BYTES
        return is_preferred or message_bytes > self.max_message_bytes

    @property
    def chunk_bytes(self) -> int:
        """The most bytes of a chunk that the client sends."""
        chunk = min(
            self.max_stream_chunk_bytes or _CHUNK_BYTES, _CHUNK_BYTES, self.max_message_bytes - _MESSAGE_OVERHEAD
        )
        return max(int(chunk), 1)


UNKNOWN = Limits(math.inf, 0)
"""The limits of a server that does not tell."""


def server_info(message: pb.GetServerInfoResponse) -> ServerInfo:
    """Return the answer of a server, with what this client knows of it."""
    return ServerInfo(
        version=message.version,
        max_message_bytes=message.max_message_bytes,
        max_stream_chunk_bytes=message.max_stream_chunk_bytes,
        dtypes=tuple(BY_NUMBER[number].name for number in message.dtypes if number in BY_NUMBER),
        kinds=tuple(kind for kind in map(kind_of, message.norm_kinds) if kind is not None),
        compression=tuple(message.compression),
    )


def version_warning(server: str, client: str = __version__) -> str | None:
    """Return a warning if the versions are further apart than one minor version; `None` if they are not."""
    versions = [re.match(r"(\d+)\.(\d+)\.", version) for version in (server, client)]
    numbers = [(int(match[1]), int(match[2])) for match in versions if match]
    if len(numbers) == len(versions):
        (server_major, server_minor), (client_major, client_minor) = numbers
        if server_major == client_major and abs(server_minor - client_minor) <= 1:
            return None
    return (
        f"the server's version {server[:_VERSION_LENGTH]} is further from the client's {client} than one minor version"
    )
