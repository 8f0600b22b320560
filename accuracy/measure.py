"""One point: the errors of evenkeel's results and of PyTorch's, against the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

import data as drawn
import peer
import reference_clip
import reference_dropout
import reference_normalize as reference
from double_double import DD
from grid import ClipPoint, DropoutPoint, NormPoint, Point
from service import Service
from yardstick import FORMATS, LIMITS, Error, measure


@dataclass(frozen=True)
class Figure:
    """The error of one output at one point. `peer` is None if PyTorch was not asked or does not compute the output."""

    point: Point
    output: str
    # The dtype of the result, which for statistics and norms is not always that of the data.
    dtype: str
    ours: Error
    peer: Error | None
    # Whether the output is a sum whose error may be in ulp of its largest term.
    cancels: bool

    @property
    def broken(self) -> bool:
        return not self.ours.worst <= LIMITS[self.dtype]


def figures(service: Service, point: Point, with_peer: bool = True) -> list[Figure]:
    """The errors of all outputs of the point."""
    if isinstance(point, NormPoint):
        return normalization(service, point, drawn.normalization(point), with_peer)
    if isinstance(point, DropoutPoint):
        return dropout(service, point, with_peer)
    assert isinstance(point, ClipPoint)
    return clipping(service, point, drawn.gradients(point), with_peer)


def compared(point: Point, output: str, expected: DD, largest, got: torch.Tensor, peers=None) -> Figure:
    def error(tensor: torch.Tensor) -> Error:
        return measure(drawn.exact(tensor), expected, FORMATS[drawn.NAMES[tensor.dtype]], largest)

    peer_error = None if peers is None else error(peers)
    return Figure(point, output, drawn.NAMES[got.dtype], error(got), peer_error, largest is not None)


def normalization(service: Service, point: NormPoint, data: drawn.NormData, with_peer: bool) -> list[Figure]:
    got = service.normalize(point, data) | service.normalize_backward(point, data)
    torchs = (peer.normalize(point, data) if with_peer else None) or {}
    expected = normalized(point, data)
    if set(got) - {"mean", "rstd"} != set(expected) - {"mean", "rstd"}:
        raise ValueError(f"{point}: answered {sorted(got)}, expected {sorted(expected)}")
    return [compared(point, name, *expected[name], got[name], torchs.get(name)) for name in got]


def normalized(point: NormPoint, data: drawn.NormData) -> dict:
    """The exact outputs, each with its largest terms."""
    x, dy = drawn.exact(data.x), drawn.exact(data.dy)
    parameters = {name: drawn.exact(tensor) for name, tensor in data.parameters.items()}
    pooling, weight, bias = data.pooling, parameters["weight"], parameters["bias"]
    mean, var = parameters["running_mean"], parameters["running_var"]
    constant = point.mode == "running"
    if constant:
        statistics = reference.given(pooling, mean, var, data.eps)
    else:
        statistics = reference.measured(pooling, x, data.eps)
    results = {
        "mean": (statistics.mean, None),
        "rstd": (statistics.rstd, None),
        "output": reference.output(pooling, statistics, x, weight, bias),
        "grad_input": reference.grad_input(pooling, statistics, x, dy, weight, constant),
    }
    if point.mode == "update":
        results["running_mean"], results["running_var"] = reference.running(pooling, statistics, mean, var, 0.1)
    if weight is not None or bias is not None:
        of_weight, of_bias = reference.grad_affine(pooling, statistics, x, dy)
        results |= {"grad_weight": of_weight} if weight is not None else {}
        results |= {"grad_bias": of_bias} if bias is not None else {}
    return results


def dropout(service: Service, point: DropoutPoint, with_peer: bool) -> list[Figure]:
    x, dy, seed, offset = drawn.thinned(point)
    got = service.dropout(point, x, dy, seed, offset)
    exact_x, exact_dy = drawn.exact(x), drawn.exact(dy)

    def expected(kept: np.ndarray) -> dict:
        # No allowance for terms that cancel: their sum has to be right.
        return {
            "output": reference_dropout.output(point.kind, exact_x, kept, point.p),
            "grad_input": reference_dropout.gradient(point.kind, exact_dy, kept, point.p),
        }

    exact = expected(reference_dropout.mask(point.kind, tuple(x.shape), point.p, seed, offset))
    torchs = peer.dropout(point, x, dy, seed) if with_peer else None
    results = []
    for name, value in exact.items():
        figure = compared(point, name, value, None, got[name])
        if torchs is not None:
            by_mask = expected(torchs["kept"])[name]
            error = measure(drawn.exact(torchs[name]), by_mask, FORMATS[point.dtype])
            figure = Figure(point, name, figure.dtype, figure.ours, error, figure.cancels)
        results.append(figure)
    return results


def threshold_of(point: ClipPoint, exact: list[np.ndarray]) -> float:
    if point.threshold == "one":
        return 1.0
    if point.mode == "value":
        return point.scale * max(point.offset, 1.0) / 3
    norms = [reference_clip.norm([tensor], point.order).high for tensor in exact]
    total = reference_clip.norm(exact, point.order).high if point.mode == "norm" else max(norms)
    return float((total + 1e-6) / 3)


def clipping(service: Service, point: ClipPoint, gradients: list, with_peer: bool) -> list[Figure]:
    exact = [drawn.exact(gradient) for gradient in gradients]
    threshold = threshold_of(point, exact)
    if point.mode == "norm_per_tensor":
        norms = [reference_clip.norm([tensor], point.order) for tensor in exact]
    else:
        norms = [reference_clip.norm(exact, point.order)]
    if point.mode == "value":
        expected = [reference_clip.clamped(tensor, threshold) for tensor in exact]
    else:
        factors = [reference_clip.factor(threshold, norm) for norm in norms] * (4 - len(norms))
        expected = [reference_clip.scaled(tensor, factor) for tensor, factor in zip(exact, factors)]

    got_norms, got = service.clip(point, gradients, threshold)
    torch_norms, torchs = peer.clip(point, gradients, threshold) if with_peer else ([], None)

    def joined(parts: list[DD]) -> DD:
        return DD(*(np.concatenate([np.ravel(getattr(part, half)) for part in parts]) for half in ("high", "low")))

    def joined_tensors(tensors) -> torch.Tensor | None:
        return torch.cat([tensor.reshape(-1) for tensor in tensors]) if tensors else None

    norm_figure = compared(
        point,
        "norms" if point.mode == "norm_per_tensor" else "total_norm",
        joined(norms),
        None,
        torch.tensor(got_norms, dtype=torch.float64),
        joined_tensors(torch_norms),
    )
    torchs = joined_tensors(torchs)
    return [norm_figure, compared(point, "gradients", joined(expected), None, joined_tensors(got), torchs)]
