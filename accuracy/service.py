"""A client of evenkeel, with stubs that are generated from the proto alone. Results are torch tensors and numbers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "checks" / "python"))

import grpc
import stubs
from wire import Wire

from data import NormData
from grid import ClipPoint, DropoutPoint, NormPoint


class Service:
    def __init__(self, target: str):
        self.pb, rpc = stubs.load()
        self.wire = Wire(self.pb)
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.stub = rpc.TensorOpsServiceStub(grpc.insecure_channel(target, unlimited))

    def fields(self, point: NormPoint, data: NormData) -> dict:
        return dict(
            kind=getattr(self.pb, f"NORM_KIND_{point.operation.upper()}"),
            groups=data.pooling.groups if point.operation == "group" else 0,
            eps=None if point.eps == "default" else data.eps,
            training=point.mode == "update" if point.mode != "own" else None,
            input=self.wire.encode(data.x),
            **{name: self.wire.encode(tensor) for name, tensor in data.parameters.items()},
        )

    def normalize(self, point: NormPoint, data: NormData) -> dict:
        request = self.pb.NormalizeRequest(return_statistics=True, **self.fields(point, data))
        return self.tensors(self.stub.Normalize(request))

    def normalize_backward(self, point: NormPoint, data: NormData) -> dict:
        dy = self.wire.encode(data.dy)
        request = self.pb.NormalizeBackwardRequest(grad_output=dy, **self.fields(point, data))
        return self.tensors(self.stub.NormalizeBackward(request))

    def tensors(self, answer) -> dict:
        return {field.name: self.wire.decode(value) for field, value in answer.ListFields() if field.name != "axes"}

    def dropout(self, point: DropoutPoint, x, dy, seed: int, offset: int) -> dict:
        kind = getattr(self.pb, f"DROPOUT_KIND_{point.kind.upper()}")
        fields = dict(kind=kind, p=point.p, seed=seed, offset=offset)
        forward = self.stub.Dropout(self.pb.DropoutRequest(input=self.wire.encode(x), **fields))
        backward = self.stub.DropoutBackward(
            self.pb.DropoutBackwardRequest(grad_output=self.wire.encode(dy), **fields)
        )
        return {"output": self.wire.decode(forward.output), "grad_input": self.wire.decode(backward.grad_input)}

    def clip(self, point: ClipPoint, gradients: list, threshold: float):
        """The norms (the total; for NORM_PER_TENSOR each tensor's) and the clipped tensors."""
        answer = self.stub.ClipGradients(
            self.pb.ClipGradientsRequest(
                mode=getattr(self.pb, f"CLIP_MODE_{point.mode.upper()}"),
                threshold=threshold,
                norm_type=point.order,
                gradients=[self.wire.encode(gradient) for gradient in gradients],
            )
        )
        norms = list(answer.tensor_norms) if point.mode == "norm_per_tensor" else [answer.total_norm]
        return norms, [self.wire.decode(gradient) for gradient in answer.gradients]
