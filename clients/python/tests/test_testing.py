from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evenkeel_client.testing import BINARY_VARIABLE, Server, find_binary


def is_listening(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_the_server_ends_with_its_block() -> None:
    with Server() as server:
        assert is_listening(server.address)
    assert not is_listening(server.address)
    server.stop()


def test_the_server_ends_when_nobody_has_it_any_more() -> None:
    server = Server()
    address = server.address
    del server
    gc.collect()
    assert not is_listening(address)


def test_the_server_ends_with_a_program_that_fails() -> None:
    program = (
        "from evenkeel_client.testing import Server; s = Server(); print(s.address, flush=True); raise SystemExit(3)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert not is_listening(ended.stdout.strip())


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="--nonsense"):
        Server("--nonsense")


def test_a_server_that_does_not_listen_is_given_up(tmp_path: Path) -> None:
    program = tmp_path / "evenkeel"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="did not listen within"):
        Server(binary=program, timeout=0.2)


def test_the_server_does_not_inherit_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENKEEL_MAX_MESSAGE_BYTES", "nonsense")
    with Server() as server:
        assert is_listening(server.address)
    with pytest.raises(RuntimeError, match="nonsense"):
        Server(environment={"EVENKEEL_MAX_MESSAGE_BYTES": "nonsense"})


def test_the_program_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "evenkeel"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(BINARY_VARIABLE)
    assert find_binary() == str(program)
    monkeypatch.setenv(BINARY_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        find_binary()
    assert find_binary(program) == os.fspath(program)
    monkeypatch.delenv(BINARY_VARIABLE)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match=BINARY_VARIABLE):
        find_binary()
