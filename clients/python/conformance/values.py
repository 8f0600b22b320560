"""The values of the conformance protocol: tensors, numbers and partials as JSON, and back."""

from __future__ import annotations

import base64
import hashlib
import math
from typing import Any

import numpy as np

DTYPES = ("float32", "float64", "float16", "bfloat16")


class Unsupported(Exception):
    """The client lacks what a case asks for."""


def number(value: Any) -> Any:
    """Return a float64 number: those that JSON cannot write are texts."""
    return float(value.lower()) if isinstance(value, str) else value


def written(value: float) -> Any:
    """Return a number for JSON."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def dtype_of(name: str) -> np.dtype[Any]:
    """Return a dtype of NumPy or ml_dtypes."""
    if name == "bfloat16":
        from ml_dtypes import bfloat16  # noqa: PLC0415 (few cases need it)

        half: np.dtype[Any] = np.dtype(bfloat16)
        return half
    return np.dtype(name)


def array_of(tensor: dict[str, Any]) -> Any:
    """Return the array of a tensor, in the memory layout that it asks for."""
    data = base64.b64decode(tensor["data"]) * tensor.get("repeat", 1)
    array = np.frombuffer(data, dtype_of(tensor["dtype"]))
    if any(dim < 0 for dim in tensor["shape"]) or array.size != math.prod(tensor["shape"]):
        raise Unsupported("NumPy has no arrays whose shape does not fit their data")
    array = array.reshape(tensor["shape"])
    layout = tensor.get("layout")
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "big-endian":
        if tensor["dtype"] == "bfloat16":
            raise Unsupported("ml_dtypes has no big-endian bfloat16")
        return array.astype(array.dtype.newbyteorder(">"))
    if layout == "sliced":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout is not None:
        raise Unsupported(f"layout {layout}")
    return array


def tensor_of(array: Any, *, digest: bool) -> dict[str, Any]:
    """Return the tensor of an array."""
    data = array.tobytes()
    content = {"sha256": hashlib.sha256(data).hexdigest()} if digest else {"data": base64.b64encode(data).decode()}
    return {"dtype": array.dtype.name, "shape": list(array.shape), **content}


def base64_of(data: bytes) -> str:
    """Return bytes for JSON."""
    return base64.b64encode(data).decode()
