"""The element types of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DTypeName = Literal["float32", "float64", "float16", "bfloat16"]


@dataclass(frozen=True)
class DType:
    """An element type."""

    name: DTypeName
    """As NumPy, ml_dtypes and torch call it."""
    number: int
    """The value of `DataType` in the contract."""
    size: int
    """The bytes of an element."""


FLOAT32 = DType("float32", 1, 4)
FLOAT64 = DType("float64", 2, 8)
FLOAT16 = DType("float16", 3, 2)
BFLOAT16 = DType("bfloat16", 4, 2)

BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in (FLOAT32, FLOAT64, FLOAT16, BFLOAT16)}
BY_NUMBER: dict[int, DType] = {dtype.number: dtype for dtype in BY_NAME.values()}
