"""The tensors of a point, drawn from its seed and rounded to its dtype."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

import reference_dropout
from grid import CUT, ELEMENTS, LARGEST, ClipPoint, DropoutPoint, NormPoint, Point
from shapes import Pooling
from yardstick import FORMATS

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def draws(rng: np.random.Generator, shape) -> np.ndarray:
    """Normal numbers, cut at three spreads."""
    return np.clip(rng.standard_normal(shape), -CUT, CUT)


def tensor(values: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(DTYPES[dtype])


def exact(tensor: torch.Tensor | None) -> np.ndarray | None:
    """The values as float64, which holds every value of every dtype."""
    return None if tensor is None else tensor.detach().double().numpy()


def of_point(rng: np.random.Generator, point: Point, shape) -> torch.Tensor:
    return tensor((point.offset + draws(rng, shape)) * point.scale, point.dtype)


@dataclass
class NormData:
    pooling: Pooling
    eps: float
    x: torch.Tensor
    dy: torch.Tensor
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    running_mean: torch.Tensor | None = None
    running_var: torch.Tensor | None = None

    @property
    def parameters(self) -> dict[str, torch.Tensor | None]:
        names = ("weight", "bias", "running_mean", "running_var")
        return {name: getattr(self, name) for name in names}


def normalization(point: NormPoint) -> NormData:
    rng = np.random.default_rng(point.seed)
    # From 1e5 elements on, a tensor has a single row.
    pooling = Pooling.of(point.operation, point.length, max(ELEMENTS, 2 * point.length if point.length < 1e5 else 0))
    drawn = draws(rng, pooling.shape)
    if point.drawn == "balanced":
        drawn = balanced(rng, pooling, drawn)
    x = tensor((point.offset + drawn) * point.scale, point.dtype)
    result = NormData(
        pooling,
        point.eps_value(),
        with_one_near(pooling, x) if point.drawn == "near" else x,
        tensor(gradient(rng, point, drawn), point.dtype),
    )
    channels = pooling.channels
    if point.affine != "none":
        result.weight = tensor(1.0 + 0.5 * draws(rng, channels), point.parameters)
    if point.affine == "both":
        result.bias = tensor(draws(rng, channels), point.parameters)
    if point.mode != "own":
        mean, var = point.offset + 0.1 * draws(rng, channels), rng.uniform(0.5, 2.0, channels)
        # Variances that the dtype does not hold are replaced by 1: the update does not depend on them.
        square = point.scale**2
        if not 1e-37 < square / 2 < 2 * square < LARGEST[point.parameters]:
            square = 1.0
        result.running_mean = tensor(mean * point.scale, point.parameters)
        result.running_var = tensor(var * square, point.parameters)
    return result


def balanced(rng: np.random.Generator, pooling: Pooling, drawn: np.ndarray) -> np.ndarray:
    rows = pooling.rows(drawn).copy()
    half = (rows.shape[1] - 1) // 2
    rows[:, half : 2 * half] = -rows[:, :half]
    rows[:, 2 * half :] = 1e-6
    return pooling.tensor(rng.permuted(rows, axis=1)).reshape(pooling.shape)


def with_one_near(pooling: Pooling, x: torch.Tensor) -> torch.Tensor:
    """Puts the last element of each set next to the mean: at the mean of the others, rounded to the dtype."""
    rows = pooling.rows(exact(x)).copy()
    rest = rows[:, :-1]
    rows[:, -1] = rest[:, 0] + (rest - rest[:, :1]).mean(1)
    return tensor(pooling.tensor(rows).reshape(pooling.shape), NAMES[x.dtype])


def gradient(rng: np.random.Generator, point: NormPoint, drawn: np.ndarray) -> np.ndarray:
    """Small enough that its product with rstd, which is up to 1 / scale, is within the dtype."""
    size = min(1.0, max(point.scale * LARGEST[point.dtype] * 1e-6, 1e-4 if point.dtype == "float16" else 0.0))
    if point.gradient == "along":
        return (0.25 + drawn) * size
    return (draws(rng, drawn.shape) + (1000.0 if point.gradient == "far" else 0.0)) * size


def thinned(point: DropoutPoint) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Input and gradient, seed and offset."""
    rng = np.random.default_rng(point.seed)
    shape = (3, 5, point.length)
    seed, offset = int(rng.integers(2**63)), int(rng.integers(2**40))
    x, dy = of_point(rng, point, shape), of_point(rng, point, shape)
    return beside_the_zero(x, point) if "alpha" in point.kind else x, dy, seed, offset


def beside_the_zero(x: torch.Tensor, point: DropoutPoint) -> torch.Tensor:
    """Every fourth element where alpha dropout's terms cancel: as near to its zero as the dtype allows, or next to that."""
    values, count = exact(x).copy(), len(range(0, x.numel(), 4))
    zero = exact(tensor(np.array([-reference_dropout.ALPHA * point.p]), point.dtype))
    steps = np.resize([0.0, 1.0, -1.0, 2.0, -3.0], count)
    values.reshape(-1)[::4] = zero + steps * FORMATS[point.dtype].ulp(zero)
    return tensor(values, point.dtype)


def gradients(point: ClipPoint) -> list[torch.Tensor]:
    """Three tensors of `length` elements together, in pieces of different sizes."""
    rng = np.random.default_rng(point.seed)
    half, third = point.length // 2, point.length // 3
    return [of_point(rng, point, size) for size in (half, third, point.length - half - third)]
