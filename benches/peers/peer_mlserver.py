"""Layer normalization with NumPy behind MLServer, a KServe (Open Inference Protocol) server in Python.

The model runs in the server's process, without batching and without metrics. The first line on standard
output says where gRPC listens.
"""

import asyncio
import contextlib
import os
import socket
import sys

import grpc
import numpy as np
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from mlserver.types import InferenceResponse

MAX_MESSAGE = 256 << 20


class LayerNorm(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        x = x - x.mean(axis=-1, keepdims=True, dtype=np.float32)
        y = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True, dtype=np.float32) + np.float32(1e-5))
        output = NumpyCodec.encode_output("output", y)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])


def free_port():
    """A free port; MLServer does not accept port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def ready(port):
    """Returns when the model can be called, which is some time after the ports are open."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = dataplane_pb2.ModelReadyRequest(name="layer_norm")
        while True:
            with contextlib.suppress(grpc.RpcError):
                if (await stub.ModelReady(request, wait_for_ready=True)).ready:
                    return
            await asyncio.sleep(0.05)


async def main():
    settings = Settings(
        host="127.0.0.1",
        http_port=free_port(),
        grpc_port=free_port(),
        grpc_max_message_length=MAX_MESSAGE,
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
        logging_settings=None,
    )
    # The first line of standard output must be the address, so the output of MLServer goes to standard error.
    out = os.dup(1)
    os.dup2(2, 1)
    server = MLServer(settings)
    models = [ModelSettings(name="layer_norm", implementation=LayerNorm)]
    serving = asyncio.create_task(server.start(models))
    await asyncio.wait([serving, asyncio.create_task(ready(settings.grpc_port))], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        os.write(out, f"listening on 127.0.0.1:{settings.grpc_port}\n".encode())
    await serving


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
