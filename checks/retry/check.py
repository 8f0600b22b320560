"""Runs grpcio's own retry policy against a server that refuses calls: the client repeats a call that is refused because of
overload after the delay that the server asks for, and never repeats one that is too large.

    python check.py --target HOST:PORT --metrics HOST:PORT

The server takes messages of 1 MiB, and 2 MiB in flight. Exits with 1 if a check fails.
"""

import argparse
import json
import socket
import struct
import sys
import time
import urllib.request
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import runner  # noqa: E402
import stubs  # noqa: E402

LIMIT = 1 << 20
IN_FLIGHT = 2 << 20
# The number of elements of a call for which the server has no memory while it is held.
SMALL = 60_000
# In seconds.
PUSHBACK = 0.1
# Longer than anything here takes: a client that waits for it has ignored the delay that the server asks for.
NEVER = 3600
# The limit of all waits, in seconds, for a machine that hangs.
PATIENCE = 120
# The calls that hold the memory are of another method, since those of Dropout are counted.
HOLDING = "/evenkeel.v1.TensorOpsService/ClipGradients"


class Held:
    """Holds the server's memory by messages that are not sent to their end: HTTP/2 by hand, since grpcio sends whole messages."""

    DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8

    def __init__(self, target: str, message: bytes):
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": HOLDING,
            ":authority": target,
            "content-type": "application/grpc",
            "te": "trailers",
        }
        # Literals that are not indexed.
        headers = b"".join(b"\0" + self.text(name) + self.text(value) for name, value in fields.items())
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(self.SETTINGS, 0, 0, b""))
        # A first frame of this size fits every window.
        first = struct.pack(">BI", 0, len(message)) + message[:1000]
        # Together the messages need more memory than there is; it does not matter that some are refused.
        for stream in range(1, 2 * (2 * IN_FLIGHT // len(message)), 2):
            self.socket.sendall(self.frame(self.HEADERS, 4, stream, headers) + self.frame(self.DATA, 0, stream, first))

    @staticmethod
    def text(text: str) -> bytes:
        return bytes([len(text)]) + text.encode()

    @staticmethod
    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()


class Checks:
    def __init__(self, target: str, metrics: str):
        self.target, self.metrics = target, metrics
        self.pb, self.grpc = stubs.load()

    def dropout(self, elements: int, **fields):
        tensor = self.pb.Tensor(dtype=self.pb.DATA_TYPE_FLOAT32, shape=[elements], data=bytes(4 * elements))
        return self.pb.DropoutRequest(p=0.0, input=tensor, **fields)

    def attempts(self) -> float:
        """How many calls of Dropout have come: each is counted before it is answered."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        series = [line for line in lines if line.startswith("grpc_server_started_total{") and '"Dropout"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in series)

    def call(self, request, most: int, backoff: float) -> tuple[grpc.StatusCode, float, float]:
        """Makes a call with a policy of so many attempts, the second after up to `backoff` seconds, unless the server says
        otherwise. Returns its code, the number of attempts and how long it took."""
        seconds = f"{backoff:.3f}s"
        policy = {
            "maxAttempts": most,
            "initialBackoff": seconds,
            "maxBackoff": seconds,
            "backoffMultiplier": 1,
            "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
        }
        config = {"methodConfig": [{"name": [{"service": "evenkeel.v1.TensorOpsService"}], "retryPolicy": policy}]}
        options = [
            ("grpc.service_config", json.dumps(config)),
            # The client never repeats a call with more bytes than this, by default 256 KiB, whatever the server says.
            ("grpc.per_rpc_retry_buffer_size", 8 * LIMIT),
            ("grpc.max_receive_message_length", 8 * LIMIT),
        ]
        with grpc.insecure_channel(self.target, options) as channel:
            before, began = self.attempts(), time.monotonic()
            try:
                self.grpc.TensorOpsServiceStub(channel).Dropout(request, timeout=PATIENCE)
                code = grpc.StatusCode.OK
            except grpc.RpcError as error:
                code = error.code()
            took = time.monotonic() - began
            return code, self.attempts() - before, took

    def overloaded(self) -> None:
        """The client makes all attempts, each after the server's delay, though the policy would wait for an hour."""
        request = self.dropout(SMALL)
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            with Held(self.target, request.SerializeToString()):
                code, attempts, took = self.call(request, 3, NEVER)
            if code == grpc.StatusCode.OK:
                continue  # there was room after all
            if code != grpc.StatusCode.RESOURCE_EXHAUSTED or attempts != 3:
                raise AssertionError(f"{attempts} attempts, then {code}; expected 3, then RESOURCE_EXHAUSTED")
            if took < 2 * PUSHBACK:
                raise AssertionError(f"3 attempts in {took} s; the server asks for {PUSHBACK} s between them")
            return
        raise AssertionError("the server is never overloaded")

    def too_large(self) -> None:
        """The client does not repeat a call whose request or response is too large, though the policy would do so at once."""
        for what, request in [
            ("a request above the limit", self.dropout(LIMIT // 4)),
            ("an answer above the limit", self.dropout(LIMIT // 4 - 1000, return_mask=True)),
        ]:
            code, attempts, _ = self.call(request, 5, 0.001)
            if code != grpc.StatusCode.RESOURCE_EXHAUSTED or attempts != 1:
                raise AssertionError(f"{what}: {attempts} attempts, then {code}; expected 1, then RESOURCE_EXHAUSTED")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="where evenkeel listens")
    parser.add_argument("--metrics", required=True, metavar="HOST:PORT", help="where its metrics are")
    arguments = parser.parse_args()
    return runner.run(Checks(arguments.target, arguments.metrics), ["overloaded", "too_large"])


if __name__ == "__main__":
    sys.exit(main())
