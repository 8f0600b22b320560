from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from evenkeel_client import AsyncClient, Client
from evenkeel_client.testing import Server

pytest_plugins = ["evenkeel_client.testing.pytest_plugin"]


class Blocking:
    """An asynchronous client whose methods wait for their results, so that one test serves both clients."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = AsyncClient(*arguments, **settings)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            return self.loop.run_until_complete(result) if inspect.isawaitable(result) else result

        return call

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        # The calls of grpc that have ended have tasks that must be collected before the loop closes.
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


class Clients:
    """Makes clients of one of the two classes, and closes them after the test."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.made: list[Any] = []

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        client = self.kind(*arguments, **settings)
        self.made.append(client)
        return client


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    clients = Clients(request.param)
    yield clients
    for client in clients.made:
        client.close()


@pytest.fixture
def client(clients: Clients, evenkeel_server: Server) -> Any:
    return clients(evenkeel_server.address)


@pytest.fixture(scope="session")
def small_server() -> Iterator[Server]:
    """A server whose messages are so small that most calls are streams, and whose memory makes some of them two passes."""
    with Server("--max-message-bytes", "65536", "--max-stream-chunk-bytes", "4096") as server:
        yield server
