"""A client's adapter: a process that answers one line with one line."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

# How long an adapter may take to end when its input has ended, in seconds.
LAST_WORDS = 20


class Fault(Exception):
    """The adapter did not answer as the protocol says."""


class Adapter:
    """Starts the process when the first request comes, and again after a fault."""

    def __init__(self, command: list[str], folder: Path):
        self.command, self.folder = command, folder
        self.process: subprocess.Popen | None = None
        self.last_id = 0

    def start(self) -> None:
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,  # so that all of its processes can be stopped
        )
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.reader = threading.Thread(target=self.read, args=(self.process, self.lines), daemon=True)
        self.reader.start()

    @staticmethod
    def read(process, lines) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(b"")

    def ask(self, request: dict, seconds: float) -> dict:
        """The answer to a request. Without one the process is stopped."""
        if self.process is None:
            self.start()
        self.last_id += 1
        try:
            return self.exchange({"id": self.last_id, **request}, seconds)
        except Fault as fault:
            said = self.stop()
            raise Fault(f"{fault}{said}") from None

    def exchange(self, request: dict, seconds: float) -> dict:
        try:
            self.process.stdin.write(json.dumps(request, allow_nan=False).encode() + b"\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=seconds)
        except OSError:
            raise Fault("the adapter has ended") from None
        except queue.Empty:
            raise Fault(f"the adapter has not answered within {seconds:.0f} s") from None
        if not line:
            raise Fault("the adapter has ended without an answer")
        try:
            answer = json.loads(line, parse_constant=refuse)
        except ValueError as error:
            raise Fault(f"the adapter's answer is not JSON ({error}): {line[:200]!r}") from None
        if not isinstance(answer, dict) or answer.get("id") != request["id"]:
            raise Fault(f"the adapter's answer has another id than {request['id']}: {line[:200]!r}")
        if sum(key in answer for key in ("result", "error", "unsupported")) != 1:
            raise Fault(f"the answer needs one of result, error and unsupported: {line[:200]!r}")
        return answer

    def stop(self) -> str:
        """Ends the process. Returns the end of what it wrote to standard error."""
        if self.process is None:
            return ""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()
        self.process = None
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").strip().splitlines()[-12:]
        self.errors.close()
        return "".join(f"\n        | {line}" for line in said)

    def finish(self) -> str | None:
        """Closes standard input, with which the adapter must end. Returns what is wrong."""
        if self.process is None:
            return None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=LAST_WORDS)
            wrong = None
        except subprocess.TimeoutExpired:
            wrong = "the adapter does not end with standard input"
        self.stop()
        return wrong


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
