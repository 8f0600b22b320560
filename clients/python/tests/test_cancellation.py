"""Calls that are given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fake import Fake

from evenkeel_client import AsyncClient, Cancelled, Client, ProtocolError

X = np.ones((1, 4), np.float32)


class Hanging(Fake):
    """A server whose calls end when the client has left."""

    def __init__(self) -> None:
        self.begun, self.left = threading.Event(), threading.Event()
        super().__init__({"Normalize": self.hang, "NormalizeStream": self.hang}, max_message_bytes=2048)

    def hang(self, number: int, request: Any, context: Any) -> Any:
        del number, request
        context.add_callback(self.left.set)
        self.begun.set()
        self.left.wait(30)
        return b""


@pytest.mark.parametrize("rows", [1, 1000])
def test_cancelling_a_task_cancels_the_call_in_the_server(rows: int) -> None:
    async def cancel(server: Hanging) -> None:
        async with AsyncClient(server.address) as client:
            task = asyncio.ensure_future(client.layer_norm(np.repeat(X, rows, axis=0)))
            await asyncio.to_thread(server.begun.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with Hanging() as server:
        asyncio.run(cancel(server))
        assert server.left.wait(10)


@pytest.mark.parametrize("rows", [1, 1000])
def test_closing_a_client_cancels_its_calls(rows: int) -> None:
    with Hanging() as server:
        client = Client(server.address)

        def close() -> None:
            server.begun.wait(10)
            client.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(Cancelled):
            client.layer_norm(np.repeat(X, rows, axis=0))
        closer.join()
        assert server.left.wait(10)


def test_an_answer_that_breaks_the_contract_ends_the_call_in_the_server(clients: Any) -> None:
    left = threading.Event()

    def broken(number: int, requests: Any, context: Any) -> Iterator[bytes]:
        del number, requests
        context.add_callback(left.set)
        yield b"\xff"
        left.wait(30)

    with Fake({"NormalizeStream": broken}, max_message_bytes=2048) as server:
        client = clients(server.address)
        with pytest.raises(ProtocolError) as caught:
            client.layer_norm(np.repeat(X, 1000, axis=0))
        # The error, with its frames, is still there: nothing has ended because it was collected.
        assert caught.tb is not None
        assert left.wait(10)


def test_threads_share_a_client(evenkeel_server: Any) -> None:
    results: list[Any] = []
    with Client(evenkeel_server.address, connections=2) as client:
        work = [threading.Thread(target=lambda: results.append(client.layer_norm(X).output)) for _ in range(16)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert len(results) == 16
