"""The calls of evenkeel that the example makes. Partials are bytes here: what goes from one process to another."""

import grpc
import numpy as np
from evenkeel.v1 import tensor_ops_pb2 as pb
from evenkeel.v1 import tensor_ops_pb2_grpc as rpc

DEADLINE = 60  # of each call, in seconds
MAX_NORM = 1.0
DTYPES = {"float32": pb.DATA_TYPE_FLOAT32, "float64": pb.DATA_TYPE_FLOAT64}
NUMPY = {number: np.dtype(name) for name, number in DTYPES.items()}


def encode(array: np.ndarray) -> pb.Tensor:
    """The array as a message. The machine must be little-endian."""
    return pb.Tensor(dtype=DTYPES[array.dtype.name], shape=array.shape, data=array.tobytes())


def decode(tensor: pb.Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, NUMPY[tensor.dtype]).reshape(tensor.shape)


class Service:
    """A client of one server."""

    def __init__(self, target: str):
        self.stub = rpc.TensorOpsServiceStub(grpc.insecure_channel(target))

    def measure(self, hidden: list[np.ndarray], grad_output: list[np.ndarray] | None = None) -> bytes:
        """The exact statistics of these samples together, for `normalize`; with gradients, for `normalize_backward`."""
        if grad_output is None:
            requests = [pb.MeasureStatisticsRequest(header=forward(x)) for x in hidden]
        else:
            headers = [backward(x, dy) for x, dy in zip(hidden, grad_output, strict=True)]
            requests = [pb.MeasureStatisticsRequest(backward_header=header) for header in headers]
        return self.stub.MeasureStatistics(iter(requests), timeout=DEADLINE).SerializeToString(deterministic=True)

    def merge_statistics(self, partials: list[bytes]) -> bytes:
        """The statistics of all samples. The server adds the sums as whole numbers: the order has no effect."""
        request = pb.MeasureStatisticsRequest(partials=[statistics_of(partial) for partial in partials])
        return self.stub.MeasureStatistics(iter([request]), timeout=DEADLINE).SerializeToString(deterministic=True)

    def normalize(self, hidden: np.ndarray, scale: np.ndarray, shift: np.ndarray, statistics: bytes) -> np.ndarray:
        """These samples, normalized by the statistics of all."""
        request = forward(hidden, weight=encode(scale), bias=encode(shift), statistics=statistics_of(statistics))
        return decode(self.stub.Normalize(request, timeout=DEADLINE).output)

    def normalize_backward(
        self, hidden: np.ndarray, grad_output: np.ndarray, scale: np.ndarray, shift: np.ndarray, statistics: bytes
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The gradients of these samples, and of scale and shift: the sums over these samples, in float64."""
        # The gradients of weight and bias have the dtype of weight and bias.
        weight, bias = encode(scale.astype(np.float64)), encode(shift.astype(np.float64))
        request = backward(hidden, grad_output, weight=weight, bias=bias, statistics=statistics_of(statistics))
        answer = self.stub.NormalizeBackward(request, timeout=DEADLINE)
        return decode(answer.grad_input), decode(answer.grad_weight), decode(answer.grad_bias)

    def measure_gradient(self, gradient: np.ndarray) -> bytes:
        """The exact norm of a piece of the gradient."""
        request = pb.MeasureGradientsRequest(gradients=[encode(gradient)])
        answer = self.stub.MeasureGradients(iter([request]), timeout=DEADLINE)
        return answer.partial.SerializeToString(deterministic=True)

    def merge_norms(self, partials: list[bytes]) -> float:
        """The norm of all pieces, rounded once. The order of the partials has no effect."""
        request = pb.MeasureGradientsRequest(partials=[pb.NormPartial.FromString(partial) for partial in partials])
        return self.stub.MeasureGradients(iter([request]), timeout=DEADLINE).total_norm

    def clip(self, gradient: np.ndarray, total_norm: float | None = None) -> np.ndarray:
        """A piece of the gradient, clipped by the norm of all; or the whole, by its own."""
        request = pb.ClipGradientsRequest(
            mode=pb.CLIP_MODE_NORM, threshold=MAX_NORM, total_norm=total_norm, gradients=[encode(gradient)]
        )
        return decode(self.stub.ClipGradients(request, timeout=DEADLINE).gradients[0])


def forward(hidden: np.ndarray, **fields) -> pb.NormalizeRequest:
    return pb.NormalizeRequest(kind=pb.NORM_KIND_BATCH, input=encode(hidden), **fields)


def backward(hidden: np.ndarray, grad_output: np.ndarray, **fields) -> pb.NormalizeBackwardRequest:
    output = encode(grad_output)
    return pb.NormalizeBackwardRequest(kind=pb.NORM_KIND_BATCH, input=encode(hidden), grad_output=output, **fields)


def statistics_of(partial: bytes) -> pb.StatisticsPartial:
    return pb.StatisticsPartial.FromString(partial)
