"""Conversions between element types, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._dtypes import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, DType, DTypeName
from ._libraries import A, Bytes, supported
from ._tensors import Tensor

_QUIET_BITS = {FLOAT16: 1 << 9, BFLOAT16: 1 << 6, FLOAT32: 1 << 22, FLOAT64: 1 << 51}
_Array = np.ndarray[Any, np.dtype[Any]]


def convert(x: A, dtype: DTypeName) -> A:
    """Return the elements of an array in another element type, each rounded once to nearest even.

    `astype` of ml_dtypes and `to` of torch round a float64 twice on its way to bfloat16, by way of float32. NaN stays a
    quiet NaN; what is beyond the type becomes infinite.

    Args:
        x: An array of NumPy or a tensor of torch.
        dtype: `float32`, `float64`, `float16` or `bfloat16`. Arrays of NumPy in bfloat16 need ml_dtypes; tensors of torch
            do not.

    Returns:
        A new array of the same library and shape.

    Raises:
        InvalidArgument: `x` or `dtype` is not supported.
        ImportError: the result would be an array of NumPy in bfloat16, and ml_dtypes is not installed.

    """
    tensor, to = Tensor.of("input", x), supported("dtype", str(dtype))
    data = tensor.data.copy() if tensor.dtype == to else _converted(tensor.data, tensor.dtype, to)
    result: A = tensor.library.from_bytes(data, to, tensor.shape)
    return result


def _converted(data: Bytes, given: DType, to: DType) -> Bytes:
    values = _widened(data) if given == BFLOAT16 else data.view(_little_endian(given))
    with np.errstate(all="ignore"):
        rounded = _to_bfloat16(values) if to == BFLOAT16 else values.astype(_little_endian(to))
        is_nan = np.isnan(values)
    # Conversions of NumPy may leave a NaN signaling.
    bits = rounded.view(f"<u{to.size}")
    bits[is_nan] |= bits.dtype.type(_QUIET_BITS[to])
    return bits.view(np.uint8)


def _little_endian(dtype: DType) -> np.dtype[Any]:
    little_endian: np.dtype[Any] = np.dtype(dtype.name).newbyteorder("<")
    return little_endian


def _widened(data: Bytes) -> _Array:
    """Return the float32 numbers of which bfloat16 numbers are the upper halves."""
    widened: _Array = (data.view("<u2").astype("<u4") << np.uint32(16)).view("<f4")
    return widened


def _to_bfloat16(values: _Array) -> _Array:
    """Return the bits of the nearest bfloat16 numbers; ties go to even."""
    single = values.astype("<f4")
    bits = single.view("<u4")
    # Rounded to odd, float32 keeps what decides the second rounding: whether the number is above, at or below a middle.
    wide = values.astype("<f8")
    back = single.astype("<f8")
    is_inexact = (back != wide) & ~np.isnan(wide)
    is_beyond = np.abs(back) > np.abs(wide)
    bits[is_inexact & is_beyond] -= np.uint32(1)
    bits[is_inexact] |= np.uint32(1)
    is_nan = np.isnan(wide)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    rounded[is_nan] = bits[is_nan] >> np.uint32(16)
    halves: _Array = rounded.astype("<u2")
    return halves
