"""Normalize with grpcio and torch, as a Python program would serve it: one thread of torch, no copy that the two
libraries do not force.

    python peer_grpcio.py sync|aio

The first line on standard output says where it listens.
"""

import asyncio
import sys
from concurrent import futures
from pathlib import Path

import grpc
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "checks" / "python"))
import stubs  # noqa: E402

pb, rpc = stubs.load()

WORKERS = 8
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


def normalize(request):
    """Layer normalization over the last axis. The input is a view of the request's bytes; protobuf needs a copy of the
    result."""
    tensor = request.input
    x = torch.frombuffer(tensor.data, dtype=torch.float32).view(tuple(tensor.shape))
    y = torch.nn.functional.layer_norm(x, x.shape[-1:])
    output = pb.Tensor(dtype=tensor.dtype, shape=tensor.shape, data=y.numpy().tobytes())
    return pb.NormalizeResponse(axes=[x.dim() - 1], output=output)


class Sync(rpc.TensorOpsServiceServicer):
    def Normalize(self, request, context):  # noqa: N802
        with torch.inference_mode():
            return normalize(request)


class Aio(rpc.TensorOpsServiceServicer):
    async def Normalize(self, request, context):  # noqa: N802
        with torch.inference_mode():
            return normalize(request)


def serve_sync():
    server = grpc.server(futures.ThreadPoolExecutor(WORKERS), options=OPTIONS)
    rpc.add_TensorOpsServiceServicer_to_server(Sync(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


async def serve_aio():
    server = grpc.aio.server(options=OPTIONS)
    rpc.add_TensorOpsServiceServicer_to_server(Aio(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def main():
    torch.set_num_threads(1)
    # torch warns once that the bytes of a request are read-only; nothing here writes to them.
    torch.frombuffer(b"\0\0\0\0", dtype=torch.float32)
    match sys.argv[1:]:
        case ["sync"]:
            serve_sync()
        case ["aio"]:
            asyncio.run(serve_aio())
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
