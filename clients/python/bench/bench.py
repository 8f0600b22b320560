"""Compares the client with the shortest correct code on the generated stub, and prints a line of JSON for each size.

    EVENKEEL_BINARY=path/to/evenkeel python bench/bench.py

EVENKEEL_ADDRESS names a server that runs already, which must take messages of more than 64 MiB. EVENKEEL_BENCH_SCALE is a
factor for the number of rounds, such as 0.1.

The operation is a layer norm of float32 in rows of 1024. Client and stub take turns in each round, on connections of their
own to one server on this machine. The stub needs the package grpcio-tools, and gets what a user would write by hand: the
limits of messages raised, and a writable array as the result. "ratio" is the time of the stub by that of the client.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from evenkeel_client import Client
from evenkeel_client.testing import Server

PROTO = Path(__file__).resolve().parents[3] / "proto"
ROUNDS = {4 << 10: 400, 256 << 10: 120, 4 << 20: 40, 64 << 20: 8}


@contextmanager
def server_address() -> Iterator[str]:
    """Return the address of a server: the one of the environment, or one that is started."""
    if named := os.environ.get("EVENKEEL_ADDRESS"):
        yield named
    else:
        with Server("--max-message-bytes", str(128 << 20)) as server:
            yield server.address


def stub_call(address: str, folder: str) -> Callable[[Any], Any]:
    """Return a layer norm by the stub that protoc generates."""
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTO), f"--python_out={folder}"]
    subprocess.run([*command, f"--grpc_python_out={folder}", "evenkeel/v1/tensor_ops.proto"], check=True)
    sys.path.insert(0, folder)
    pb = importlib.import_module("evenkeel.v1.tensor_ops_pb2")
    rpc = importlib.import_module("evenkeel.v1.tensor_ops_pb2_grpc")
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    stub = rpc.TensorOpsServiceStub(grpc.insecure_channel(address, limits))

    def call(x: Any) -> Any:
        tensor = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=x.shape, data=x.tobytes())
        answer = stub.Normalize(pb.NormalizeRequest(kind=pb.NORM_KIND_LAYER, input=tensor), timeout=60)
        return np.frombuffer(answer.output.data, "<f4").reshape(answer.output.shape).copy()

    return call


def main() -> None:
    """Measure all sizes."""
    scale = float(os.environ.get("EVENKEEL_BENCH_SCALE", "1"))
    with tempfile.TemporaryDirectory() as folder, server_address() as address:
        stub = stub_call(address, folder)
        with Client(address) as client:
            ways = {"client": lambda x: client.layer_norm(x).output, "stub": stub}
            for size, rounds in ROUNDS.items():
                x = np.random.default_rng(1).standard_normal((size // 4096, 1024), dtype=np.float32)
                results = [way(x) for way in ways.values()]
                if not np.array_equal(*results):
                    raise SystemExit("client and stub differ")
                times: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(max(1, round(rounds * scale))):
                    for name, way in ways.items():
                        began = time.perf_counter()
                        way(x)
                        times[name].append(time.perf_counter() - began)
                medians = {name: statistics.median(values) for name, values in times.items()}
                line = {
                    "bytes": size,
                    "client_seconds": round(medians["client"], 6),
                    "stub_seconds": round(medians["stub"], 6),
                    "ratio": round(medians["stub"] / medians["client"], 2),
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
