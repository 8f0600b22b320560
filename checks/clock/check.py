"""Sets the wall clock of an evenkeel forward and back by a day, under load.

    python check.py --evenkeel PATH --faketime LIBRARY --folder FOLDER

The folder has `first` and `second`, each with a self-signed `cert.pem` and its `key.pem`. Exits with 1 if anything but the
times in the log has jumped with the clock.
"""

import argparse
import queue
import shutil
import socket
import sys
import time
from pathlib import Path

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from load import Caller, Load  # noqa: E402
from server import HANDSHAKE_TIMEOUT, Server  # noqa: E402

# Days from the machine's clock, one after the other: a day forward, two back, one forward.
JUMPS = (1, -1, 0)
CALLS = 300
GRADIENT = np.array([3, 4], np.float32)


def equal(what: str, got, expected) -> None:
    if got != expected:
        raise AssertionError(f"{what}: {got!r} instead of {expected!r}")


def total(metrics: dict[str, float], name: str, *labels: str) -> float:
    return sum(v for key, v in metrics.items() if key.startswith(name) and all(label in key for label in labels))


class Stream:
    """A call of MeasureGradients that has begun, and stays open until `end`."""

    def __init__(self, caller: Caller):
        self.messages = queue.SimpleQueue()
        self.answer = caller.measure(iter(self.messages.get, None), timeout=300)
        self.messages.put([GRADIENT])

    def end(self) -> None:
        self.messages.put(None)
        equal("the norm of a call that was open while the clock jumped", self.answer.result().total_norm, 5.0)


def replace(folder: Path, source: Path) -> None:
    """Replaces the server's certificate: the key first, so that the server may find a change that is half done."""
    for name in ("key.pem", "cert.pem"):
        shutil.copy(source / name, folder / f"{name}.new")
        (folder / f"{name}.new").replace(folder / name)


def silent_connection(server: Server) -> None:
    """The server closes a connection that sends nothing after the handshake timeout, whatever the wall clock does."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.settimeout(60)
        equal("what the server says to silence", silent.recv(1), b"")
    took = time.monotonic() - began
    if not HANDSHAKE_TIMEOUT - 0.1 < took < 10 * HANDSHAKE_TIMEOUT:
        raise AssertionError(f"a connection that says nothing was ended after {took:.1f} s")


def check_metrics(server: Server, began: float, silent: int) -> None:
    metrics = server.metrics()
    ended = "evenkeel_connections_ended_total"
    equal("connections that said nothing", total(metrics, ended, "handshake_timeout"), silent)
    equal("connections that were ended", total(metrics, ended), silent)
    for name in ("evenkeel_stalled_total", "evenkeel_panics_total", "evenkeel_refused_total"):
        equal(name, total(metrics, name), 0)
    passed = time.monotonic() - began
    calls = total(metrics, "grpc_server_started_total")
    for name in ("grpc_server_handling_seconds", "evenkeel_queue_seconds", "evenkeel_compute_seconds"):
        took = total(metrics, f"{name}_sum")
        if not 0 <= took <= passed * 20:
            raise AssertionError(f"{name} has {took:.0f} s for {calls:.0f} calls in {passed:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--evenkeel", "--faketime", "--folder"):
        parser.add_argument(flag, required=True)
    arguments = parser.parse_args()
    folder = Path(arguments.folder).resolve()
    token = folder / "token"
    token.write_text("first-token\n")
    replace(folder, folder / "first")
    began = time.monotonic()
    server = Server(arguments.evenkeel, arguments.faketime, folder, folder / "cert.pem", folder / "key.pem", token)
    try:
        certificate = (folder / "first" / "cert.pem").read_bytes()
        caller = lambda: Caller(server.port, certificate, "first-token")  # noqa: E731
        load, idle = Load([caller() for _ in range(4)]), caller()
        idle.normalize(GRADIENT.reshape(1, 2))
        load.await_calls(CALLS)
        server.await_clock(0)
        accepted = server.metrics()["evenkeel_connections_accepted_total"]
        for number, days in enumerate(JUMPS, start=1):
            stream = Stream(idle)
            server.set_clock(days)
            load.await_calls(CALLS)
            server.await_clock(days)
            silent_connection(server)
            load.await_calls(CALLS)
            stream.end()
            check_metrics(server, began, silent=number)
            print(f"{days:+d} days: {load.right} right answers so far, none late, none wrong")
        equal("connections", server.metrics()["evenkeel_connections_accepted_total"], accepted + len(JUMPS))

        # Files are read again after the clock has gone back.
        server.set_clock(-1)
        load.await_calls(CALLS)
        server.await_clock(-1)
        token.write_text("first-token\nsecond-token\n")
        server.await_line("files have changed and are used", count=1)
        replace(folder, folder / "second")
        server.await_line("files have changed and are used", count=2)
        certificate = (folder / "second" / "cert.pem").read_bytes()
        Caller(server.port, certificate, "second-token").normalize(GRADIENT.reshape(1, 2))
        print("a new token and a new certificate are used")

        stream = Stream(idle)
        load.await_calls(CALLS)
        load.stop()
        server.terminate()
        server.await_line("draining")
        server.set_clock(1)
        time.sleep(1)  # a drain by the wall clock would end in this second
        equal("the exit code before the last call has ended", server.process.poll(), None)
        stream.end()
        equal("the exit code", server.ended(), 0)
        server.await_line("drained")
        print(f"SIGTERM: drained with a call in flight while the clock jumped; {load.right} right answers in all")
    finally:
        server.process.kill()


if __name__ == "__main__":
    main()
