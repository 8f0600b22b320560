"""A fixture of pytest.

A `conftest.py` makes it known:

    pytest_plugins = ["evenkeel_client.testing.pytest_plugin"]

A test then takes `evenkeel_server` as an argument:

    def test_mine(evenkeel_server):
        with Client(evenkeel_server.address) as client:
            ...
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import Server


@pytest.fixture(scope="session")
def evenkeel_server() -> Iterator[Server]:
    """Give the tests of a session a server with default settings, which is stopped after the last of them."""
    with Server() as server:
        yield server
