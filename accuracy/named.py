"""Data on which libraries are known to have failed, each with the issue that reports it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

import data as drawn
import measure
import peer
import reference_normalize as reference
from grid import ClipPoint, NormPoint
from service import Service
from shapes import Pooling


@dataclass(frozen=True)
class Named:
    thread: str
    what: str
    figure: measure.Figure


def normals(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape)


def forward(service: Service, kind: str, x: np.ndarray, pooling: Pooling) -> measure.Figure:
    """The output of a normalization of float32 data, without weight and bias."""
    point = NormPoint(kind, "float32", 1.0, 0.0, x.size // pooling.samples, parameters="float32")
    data = drawn.NormData(pooling, 1e-5, drawn.tensor(x, "float32"), torch.empty(0))
    values = drawn.exact(data.x)
    expected, _ = reference.output(pooling, reference.measured(pooling, values, 1e-5), values, None, None)
    got = service.normalize(point, data)["output"]
    return measure.compared(point, "output", expected, None, got, peer.forward(point, data, data.x, None, None, None))


def layer(service: Service, x: np.ndarray) -> measure.Figure:
    return forward(service, "layer", x, Pooling("layer", *x.shape, 1))


def clipped(service: Service, values: np.ndarray) -> measure.Figure:
    """Float16 gradients, clipped to norm 1: the worse of the norm and the gradients."""
    point = ClipPoint("clip", "float16", 1.0, 0.0, values.size, threshold="one")
    found = measure.clipping(service, point, [drawn.tensor(values, "float16")], True)
    return max(found, key=lambda figure: figure.peer.worst)


def cases(service: Service) -> list[Named]:
    uniform = np.random.default_rng(8).random((1, 2, 19_000_000), np.float32)
    consecutive = np.array([[40000.0, 40001.0, 40002.0, 40003.0]])
    around = np.concatenate([1449 + normals(63, 8), np.tile([1448.0, 1449.0, 1450.0, 1449.0], (1, 2))])
    gradients = normals(100_000)
    return [
        Named("onnxruntime#28463", "LAYER of [40000, 40001, 40002, 40003]: NaN", layer(service, consecutive)),
        Named("pytorch#40302", "LAYER, randn(32768) * 0.01 + 100", layer(service, normals(1, 32768) * 0.01 + 100)),
        Named("pytorch#51102", "LAYER, randn(5, 4) + 2000", layer(service, normals(5, 4) + 2000)),
        Named(
            "pytorch#54293",
            "GROUP, U[0, 1), 3.8e7 elements in a group",
            forward(service, "group", uniform, Pooling("group", 1, 2, 19_000_000, 1)),
        ),
        Named("pytorch#162489", "LAYER, randn(4096) * 1e30: zeros or NaN", layer(service, normals(1, 4096) * 1e30)),
        Named("mlx#2238", "LAYER, rows of 1449 ± 1", layer(service, around)),
        Named("burn#5699", "CLIP, float16 [300] to norm 1: 0", clipped(service, np.array([300.0]))),
        Named(
            "fairscale#263",
            "CLIP, float16 gradients of norm 5000: inf",
            clipped(service, gradients * (5000 / np.linalg.norm(gradients))),
        ),
    ]
