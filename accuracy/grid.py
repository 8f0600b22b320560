"""The points that are measured, each an operation and the parameters of its data.

A point is described in full by its fields, and its data is drawn from a generator seeded with them: the same point has
the same data in every run, whichever others run beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from zlib import crc32

from shapes import KINDS

SCALES = {
    "float32": (1e-38, 1e-30, 1e-19, 1e-8, 1e-3, 1.0, 1e3, 1e8, 1e19, 1e30, 1e38),
    "float16": (1e-7, 1e-5, 1e-3, 0.05, 1.0, 50.0, 2e4),
}
SCALES["bfloat16"] = SCALES["float64"] = SCALES["float32"]
LARGEST = {"float32": 3.4028234663852886e38, "float64": 1.79e308, "float16": 65504.0, "bfloat16": 3.38953139e38}
# In spreads.
OFFSETS = (0.0, 1.0, 1e3, 1e6)
LENGTHS = (2, 3, 7, 64, 257, 1000, 4099)
LONG = (16384, 100_003)
VERY_LONG = (1_000_003, 10_000_000)
# Draws are cut at three spreads, so that the scale 1e38 stays within float32.
CUT = 3.0
ELEMENTS = 4096

# The service's defaults for eps; PyTorch gets the same numbers.
DEFAULT_EPS = 1e-5
DEFAULT_EPS_OF_L2 = 1e-12
DEFAULT_EPS_OF_RMS = {"float32": 2.0**-23, "float16": 2.0**-23, "bfloat16": 2.0**-23, "float64": 2.0**-52}


@dataclass(frozen=True)
class Point:
    """`scale` is the spread of the data; its mean is `offset` spreads from zero."""

    operation: str
    dtype: str
    scale: float
    offset: float
    length: int

    @property
    def seed(self) -> int:
        return crc32(repr(astuple(self)).encode())

    def __str__(self) -> str:
        options = " ".join(f"{name}={value}" for name, value in vars(self).items() if name != "operation")
        return f"{self.operation} {options}"


@dataclass(frozen=True)
class NormPoint(Point):
    """Normalize and NormalizeBackward."""

    # own: the input's statistics; update: the same, with an update of running statistics; running: running statistics.
    mode: str = "own"
    # none, both (weight and bias), weight.
    affine: str = "none"
    # The dtype of weight, bias and running statistics.
    parameters: str = ""
    # default: the kind's; scaled: 1e-5 of the variance (L2: about a norm); zero.
    eps: str = "default"
    # How the input is drawn. normal; near: one element of each set is as near to the set's mean as the dtype allows;
    # balanced: elements come in pairs that cancel, but for a last one of a millionth.
    drawn: str = "normal"
    # How the gradient is drawn. normal; far: around 1000; along: the input's own deviations, so that all cancels.
    gradient: str = "normal"

    def eps_value(self) -> float:
        if self.eps == "zero":
            return 0.0
        if self.eps == "scaled" and self.operation == "l2":
            return self.scale * math.sqrt(self.length)
        if self.eps == "scaled":
            return 1e-5 * self.scale * self.scale
        if self.operation == "l2":
            return DEFAULT_EPS_OF_L2
        return DEFAULT_EPS_OF_RMS[self.dtype] if self.operation == "rms" else DEFAULT_EPS


@dataclass(frozen=True)
class DropoutPoint(Point):
    """Dropout and DropoutBackward; `operation` is "dropout"."""

    kind: str = "element"
    p: float = 0.5


@dataclass(frozen=True)
class ClipPoint(Point):
    """ClipGradients; `operation` is "clip"."""

    mode: str = "norm"
    order: float = 2.0
    # third: a third of the norm (VALUE: of the offset or spread); one: 1.
    threshold: str = "third"


def holds(dtype: str, scale: float, offset: float) -> bool:
    return scale * (offset + CUT) <= LARGEST[dtype]


def data() -> Iterator[tuple[str, float, float]]:
    for dtype, scales in SCALES.items():
        for scale in scales:
            for offset in OFFSETS:
                if holds(dtype, scale, offset):
                    yield dtype, scale, offset


def norm_points(lengths: tuple[int, ...], affines=("none", "both")) -> Iterator[NormPoint]:
    for dtype, scale, offset in data():
        for length in lengths:
            for kind in KINDS:
                for affine in affines if kind != "l2" else ("none",):
                    yield varied(NormPoint(kind, dtype, scale, offset, length, affine=affine))


def varied(point: NormPoint) -> NormPoint:
    """The options that are not crossed with all others take turns, by the point's seed."""
    turn = point.seed
    parameters = "float32" if point.dtype in ("float16", "bfloat16") and turn % 2 else point.dtype
    turn //= 2
    # Running statistics are sent as they are drawn, and must be finite and above 0 in their dtype.
    squares = point.scale**2
    modes = ["own"]
    if point.operation in ("batch", "instance"):
        modes.append("update")
        if 1e-37 < squares * 0.5 and squares * 2 < LARGEST[parameters] and (parameters != "float16" or squares > 1e-4):
            modes.append("running")
    mode = modes[turn % len(modes)]
    turn //= len(modes)
    # A variance of 0 has no rstd without eps; the half types round a spread away beside a large offset.
    eps = ["default", "scaled"]
    if point.operation in ("layer", "rms", "group", "l2") and point.length > 3:
        spacing = {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(point.dtype, 2.0**-23)
        if point.offset * spacing < 0.1 and (point.dtype != "float16" or point.scale > 1e-6):
            eps.append("zero")
    eps_choice = eps[turn % len(eps)]
    turn //= len(eps)
    drawn = ["normal"]
    if point.operation not in ("rms", "l2") and point.length > 2:
        # For float64 elements next to the mean, the references do not have enough digits.
        drawn += ["balanced"] if point.offset == 0 and point.length <= LONG[-1] else []
        drawn += ["near"] if point.dtype != "float64" else []
    drawn_choice = drawn[turn % len(drawn)]
    turn //= len(drawn)
    gradient = ("normal", "far", "along")[turn % 3]
    affine = "weight" if point.affine == "both" and (turn // 3 % 4 == 0 or point.operation == "rms") else point.affine
    affine = "none" if point.operation == "l2" else affine
    return replace(
        point, mode=mode, affine=affine, parameters=parameters, eps=eps_choice, drawn=drawn_choice, gradient=gradient
    )


def dropout_points() -> Iterator[DropoutPoint]:
    probabilities = (0.0, 0.1, 0.3, 0.5, 0.9, 0.999)
    for index, (dtype, scale, offset) in enumerate(data()):
        for number, kind in enumerate(("element", "channel", "alpha", "feature_alpha")):
            for length in (1, 257, 5000):
                p = probabilities[(index + number + length) % len(probabilities)]
                yield DropoutPoint("dropout", dtype, scale, offset, length, kind=kind, p=p)


def clip_points(lengths: tuple[int, ...]) -> Iterator[ClipPoint]:
    for index, (dtype, scale, offset) in enumerate(data()):
        for number, length in enumerate(lengths):
            threshold = "one" if (index + number) % 4 == 0 else "third"
            for mode in ("norm", "norm_per_tensor"):
                for order in (1.0, 2.0, math.inf):
                    yield ClipPoint("clip", dtype, scale, offset, length, mode, order, threshold)
            yield ClipPoint("clip", dtype, scale, offset, length, "value", 2.0, threshold)


def long_points(lengths: tuple[int, ...]) -> Iterator[Point]:
    """Long rows, with only the ends and the middle of the ranges of scales and offsets."""
    for length in lengths:
        for dtype, scales in SCALES.items():
            ends = {scales[0], 1.0, scales[-2]}
            pairs = [(scale, offset) for scale in sorted(ends) for offset in (0.0, 1e6) if holds(dtype, scale, offset)]
            if length > 1_000_003:
                pairs = [pair for pair in pairs if pair[0] == 1.0 or (pair[1] == 0) == (pair[0] < 1)]
            for turn, (scale, offset) in enumerate(pairs):
                for number, kind in enumerate(KINDS):
                    if length <= 1_000_003 or (number + turn) % 3 == 0:
                        affine = ("none", "both")[(number + turn) % 2]
                        yield varied(NormPoint(kind, dtype, scale, offset, length, affine=affine))
                yield ClipPoint("clip", dtype, scale, offset, length, "norm", (1.0, 2.0)[turn % 2])


def full() -> list[Point]:
    points = [*norm_points(LENGTHS), *norm_points(LONG[:1], ("both",)), *dropout_points(), *clip_points((5, 300, 5000))]
    return points + [*long_points(LONG[1:]), *long_points(VERY_LONG)]


def short() -> list[Point]:
    """Every fifth point of the grid, and a few of the long rows."""
    crossed = [*norm_points(LENGTHS), *dropout_points(), *clip_points((5, 300, 5000))]
    return crossed[::5] + [*long_points(LONG[1:])][::3] + [*long_points(VERY_LONG[:1])][::17]
