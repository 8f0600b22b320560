"""Checks of arguments, before anything is sent, and the names of the contract's enums."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable
from typing import Any, Literal, cast

import numpy as np

from .errors import InvalidArgument

Kind = Literal["batch", "layer", "rms", "instance", "group", "l2"]
"""The elements that a normalization pools together, and how. The names are those of PyTorch's functions."""

DropoutKind = Literal["element", "channel", "alpha", "feature_alpha"]
"""The elements that are dropped together, and their replacement: `dropout`, `dropout1d` to `dropout3d`, `alpha_dropout` and
`feature_alpha_dropout` of PyTorch."""

Scaling = Literal["inverted", "none"]
"""The scaling of the elements that are kept: by 1 / (1 - p), or none."""

KINDS: dict[Kind, int] = {"batch": 1, "layer": 2, "rms": 3, "instance": 4, "group": 5, "l2": 6}
DROPOUT_KINDS: dict[DropoutKind, int] = {"element": 1, "channel": 2, "alpha": 3, "feature_alpha": 4}
SCALINGS: dict[Scaling, int] = {"inverted": 1, "none": 2}

UINT64 = (0, 2**64 - 1)
UINT32 = (0, 2**32 - 1)
INT32 = (-(2**31), 2**31 - 1)


def kind_of(number: int) -> Kind | None:
    """Return the kind of a number of the contract; `None` if the contract has no such kind."""
    return next((kind for kind, value in KINDS.items() if value == number), None)


def choice(path: str, value: Any, names: dict[Any, int]) -> int:
    """Return the number of a name, or raise `InvalidArgument`."""
    if not isinstance(value, str) or value not in names:
        raise InvalidArgument.of(path, f"expected {_listed(names)}, got {value!r}")
    return names[value]


def _listed(names: Iterable[Any]) -> str:
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}"


def integer(path: str, value: Any, bounds: tuple[int, int]) -> int:
    """Return an integer between two bounds, or raise `InvalidArgument`."""
    if isinstance(value, bool | np.bool_):
        raise InvalidArgument.of(path, "expected an integer, got a boolean")
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidArgument.of(path, f"expected an integer, got {type(value).__name__}") from None
    least, most = bounds
    if not least <= number <= most:
        raise InvalidArgument.of(path, f"expected an integer from {least} to {most}, got {_brief(number)}")
    return number


def _brief(number: int) -> str:
    return str(number) if number.bit_length() <= 128 else f"one of {number.bit_length()} bits"  # noqa: PLR2004


def integers(path: str, values: Any, bounds: tuple[int, int]) -> list[int]:
    """Return the integers of a sequence, or one as a list, or raise `InvalidArgument`."""
    if isinstance(values, numbers.Integral):
        return [integer(path, values, bounds)]
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidArgument.of(path, f"expected integers, got {type(values).__name__}")
    return [integer(f"{path}[{index}]", value, bounds) for index, value in enumerate(values)]


def number(path: str, value: Any) -> float:
    """Return a number as a float, or raise `InvalidArgument`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real | np.floating | np.integer):
        raise InvalidArgument.of(path, f"expected a number, got {type(value).__name__}")
    try:
        return float(cast("float", value))
    except OverflowError:
        raise InvalidArgument.of(path, "expected a number that float64 can hold") from None


def flag(path: str, value: Any) -> bool:
    """Return a boolean, or raise `InvalidArgument`."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidArgument.of(path, f"expected a boolean, got {type(value).__name__}")
    return bool(value)


def probability(path: str, value: Any) -> float:
    """Return a number in [0, 1], or raise `InvalidArgument`."""
    p = number(path, value)
    if not 0 <= p <= 1:
        raise InvalidArgument.of(path, f"expected a number in [0, 1], got {p}")
    return p


def seconds(path: str, value: Any) -> float | None:
    """Return a time limit, `None` for infinity, or raise `InvalidArgument`."""
    limit = number(path, value)
    if math.isnan(limit) or limit < 0:
        raise InvalidArgument.of(path, f"expected seconds, not below 0, got {limit}")
    return None if math.isinf(limit) else limit
