"""The client."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from .._address import Address, Pem
from .._options import UINT32, integer, seconds
from ..results import ServerInfo
from .clipping import Clipping
from .connections import Connections
from .dropping import Dropping
from .shortcuts import Shortcuts

if TYPE_CHECKING:
    from typing_extensions import Self


class AsyncClient(Shortcuts, Dropping, Clipping):
    """A client of an evenkeel server, for asyncio.

    The client connects when the first call needs a connection, and again after a connection broke. Any number of calls
    may be under way at the same time. It belongs to the event loop of its first call. Cancelling a task cancels its call,
    also in the server.

        async with AsyncClient("127.0.0.1:50051") as client:
            normalized = await client.layer_norm(x)
    """

    def __init__(
        self,
        address: str = "127.0.0.1:50051",
        *,
        token: str | None = None,
        allow_plaintext: bool = False,
        ca: Pem | None = None,
        cert: Pem | None = None,
        key: Pem | None = None,
        server_name: str | None = None,
        timeout: float | None = 60.0,
        connections: int = 1,
        retries: int = 4,
    ) -> None:
        """Make a client. Nothing is sent yet.

        Args:
            address: `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT`, or `unix:/PATH` of a socket.
            token: The token that every call carries. It goes to another machine only over TLS.
            allow_plaintext: Whether the token may go to another machine without TLS.
            ca: The certificates of the authorities that the client trusts, as PEM or the path of a file. It switches TLS
                on. Default, for `https://`: those that grpc brings.
            cert: The client's certificate, for servers that ask for one, with its chain.
            key: The private key of `cert`.
            server_name: The name that the server's certificate has, if it is not the host of the address.
            timeout: The most seconds of each call, with its retries. `None` or infinity: any time.
            connections: The number of connections, which calls use in turn.
            retries: How often a call is tried again that the server has refused since it is overloaded, or that found no
                connection. The client waits as long as the server asks for, or from 0.1 to 5 seconds.

        Raises:
            InvalidArgument: a setting cannot be used, or not with this address.
            OSError: a file cannot be read.

        """
        checked = Address.of(
            address,
            token=token,
            allow_plaintext=allow_plaintext,
            ca=ca,
            cert=cert,
            key=key,
            server_name=server_name,
        )
        count = integer("connections", connections, (1, UINT32[1]))
        limit = None if timeout is None else seconds("timeout", timeout)
        super().__init__(Connections(checked, count), limit, integer("retries", retries, UINT32))

    async def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """Ask the server for its version, its limits, and what it can compute.

        Args:
            timeout: The most seconds; by default the client's.

        Raises:
            Unimplemented: the server is too old for this call.
            EvenkeelError: see `evenkeel_client.errors`.

        """
        return await self._info(self._deadline(timeout))

    async def close(self) -> None:
        """Close the connections. Calls that are under way are cancelled; later ones raise `RuntimeError`."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
