"""A server for the tests of a program that uses evenkeel.

    with Server() as server, Client(server.address) as client:
        ...

`evenkeel_client.testing.pytest_plugin` has a fixture of pytest.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

BINARY_VARIABLE = "EVENKEEL_BINARY"
"""The environment variable with the path of the server's program."""

_LISTENING = "listening on "


class Server:
    """A server in a process of its own, on a free port of this machine.

    It has started when the constructor returns, and is stopped by `stop`, at the end of a `with` block, and when the object
    is collected or the program ends.
    """

    address: str
    """`HOST:PORT`, or `unix:/PATH`, for `Client`."""

    def __init__(
        self,
        *arguments: str,
        binary: str | os.PathLike[str] | None = None,
        listen: str = "127.0.0.1:0",
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Start a server.

        Args:
            arguments: More arguments of `evenkeel serve`, such as `--max-message-bytes`, `1000000`.
            binary: The program. Default: the variable EVENKEEL_BINARY, or else `evenkeel` on the PATH.
            listen: Where the server listens. Port 0 takes a free one.
            environment: Variables of the server, `EVENKEEL_...`. It does not inherit those of this program.
            timeout: The most seconds until the server listens.

        Raises:
            FileNotFoundError: there is no such program.
            RuntimeError: the server has ended, or does not listen in time; the message has what it printed.

        """
        program = find_binary(binary)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVENKEEL_")}
        self._process = subprocess.Popen(  # noqa: S603
            [program, "serve", "--listen", listen, *arguments],
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._log: list[bytes] = []
        # The pipe must be read as long as the server lives, or its log would block it.
        self._reader = threading.Thread(target=_read_all, args=(self._process, self._log), daemon=True)
        self._reader.start()
        self._finalizer = weakref.finalize(self, _end, self._process, self._reader)
        try:
            self.address = self._wait(timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> str:
        """What the server has printed to standard error until now."""
        return b"".join(self._log).decode(errors="replace")

    def stop(self) -> None:
        """Kill the server, if it still runs, and wait for its end."""
        self._finalizer()

    def _wait(self, timeout: float) -> str:
        """Wait for the line that says where the server listens."""
        process, stdout = self._process, self._process.stdout
        assert stdout is not None  # noqa: S101 (it is a pipe)
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            process.kill()  # which ends the line that is waited for

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            line = stdout.readline().decode()
        finally:
            timer.cancel()
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).strip()
        process.wait()
        self._reader.join()
        reason = f"did not listen within {timeout} seconds" if is_late.is_set() else "ended"
        raise RuntimeError(f"{process.args!r} {reason}: {line}{self.log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def find_binary(binary: str | os.PathLike[str] | None = None) -> str:
    """Return the path of the server's program, as `Server` finds it."""
    named = binary or os.environ.get(BINARY_VARIABLE)
    if named is not None:
        if not Path(named).is_file():
            raise FileNotFoundError(f"there is no server at {named}")
        return os.fspath(Path(named).absolute())
    found = shutil.which("evenkeel")
    if found is None:
        raise FileNotFoundError(f"evenkeel is not on the PATH, and {BINARY_VARIABLE} does not name it")
    return found


def _read_all(process: subprocess.Popen[bytes], log: list[bytes]) -> None:
    if process.stderr is not None:
        log.extend(process.stderr)


def _end(process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
    process.kill()
    process.wait()
    reader.join()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
