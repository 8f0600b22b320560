"""The libraries whose arrays a call takes and returns: NumPy, and torch if the program has imported it."""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from ._dtypes import BFLOAT16, BY_NAME, DType
from .errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
"""Bytes of elements, in one dimension."""


class TensorLike(Protocol):
    """What arrays of NumPy and tensors of torch have in common; no other types are taken."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions, outermost first."""

    @property
    def dtype(self) -> Any:
        """The element type: float32, float64, float16 or bfloat16."""


A = TypeVar("A", bound=TensorLike)
"""The type of the arrays of a call: what goes in as an array of NumPy or a tensor of torch comes out as such."""


class Library(Protocol):
    """How arrays of a library become bytes, and bytes such arrays."""

    def dtype(self, path: str, array: Any) -> DType:
        """Return the element type of an array, or raise `InvalidArgument`."""

    def to_bytes(self, array: Any) -> Bytes:
        """Return the elements, row-major and little-endian: a view of the array if it lies so in memory, else a copy."""

    def from_bytes(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> Any:
        """Return an array over bytes that nothing else refers to."""


class NumPy:
    """NumPy, with the bfloat16 of ml_dtypes."""

    def dtype(self, path: str, array: NDArray[Any]) -> DType:
        """Return the element type of an array, or raise `InvalidArgument`."""
        if isinstance(array, np.ma.MaskedArray):
            raise InvalidArgument.of(path, "expected an array without a mask: call filled() first")
        return _NATIVE.get(array.dtype) or supported(path, array.dtype.name)

    def to_bytes(self, array: NDArray[Any]) -> Bytes:
        """Return the elements, row-major and little-endian."""
        array = np.asarray(array)
        is_big_endian = array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big")
        if is_big_endian:
            array = array.astype(array.dtype.newbyteorder("<"))
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def from_bytes(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array over bytes that nothing else refers to."""
        return data.view(numpy_dtype(dtype)).reshape(shape)


class Torch:
    """torch, on the CPU."""

    def dtype(self, path: str, array: Any) -> DType:
        """Return the element type of a tensor, or raise `InvalidArgument`."""
        if array.device.type != "cpu":
            raise InvalidArgument.of(path, f"expected a tensor on the CPU, got one on {array.device}: call cpu() first")
        if array.requires_grad:
            raise InvalidArgument.of(path, "autograd does not see this call: call detach() first")
        if array.layout is not sys.modules["torch"].strided:
            raise InvalidArgument.of(path, f"expected a dense tensor, got the layout {array.layout}")
        return supported(path, str(array.dtype).removeprefix("torch."))

    def to_bytes(self, array: Any) -> Bytes:
        """Return the elements, row-major and little-endian."""
        torch = sys.modules["torch"]
        data: Bytes = array.contiguous().reshape(-1).view(torch.uint8).numpy()
        return data

    def from_bytes(self, data: Bytes, dtype: DType, shape: tuple[int, ...]) -> Any:
        """Return a tensor over bytes that nothing else refers to."""
        torch = sys.modules["torch"]
        if data.nbytes == 0:
            return torch.empty(shape, dtype=getattr(torch, dtype.name))
        return torch.from_numpy(data).view(getattr(torch, dtype.name)).reshape(shape)


_NATIVE = {np.dtype(name): dtype for name, dtype in BY_NAME.items() if dtype is not BFLOAT16}
"""The dtypes of NumPy that most arrays have; their names take longer to make than to look up here."""


@functools.cache
def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    """Return the little-endian dtype of NumPy; that of ml_dtypes for bfloat16."""
    if dtype is not BFLOAT16:
        standard: np.dtype[Any] = np.dtype(dtype.name).newbyteorder("<")
        return standard
    try:
        from ml_dtypes import bfloat16  # noqa: PLC0415 (an optional dependency)
    except ImportError as error:
        message = "NumPy has no bfloat16: install evenkeel-client[bfloat16], which brings ml_dtypes"
        raise ImportError(message) from error
    half: np.dtype[Any] = np.dtype(bfloat16)
    return half


def supported(path: str, name: str) -> DType:
    """Return the element type of this name, or raise `InvalidArgument`."""
    if name not in BY_NAME:
        raise InvalidArgument.of(f"{path}.dtype", f"expected float32, float64, float16 or bfloat16, got {name}")
    return BY_NAME[name]


def library_of(path: str, array: object) -> Library:
    """Return the library of an array, or raise `InvalidArgument` for anything else."""
    if isinstance(array, np.ndarray | np.generic):
        return NumPy()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return Torch()
    kind = type(array)
    raise InvalidArgument.of(
        path, f"expected an array of NumPy or a tensor of torch, got {kind.__module__}.{kind.__qualname__}"
    )


def byte_length(dtype: DType, shape: tuple[int, ...]) -> int:
    """Return the bytes of an array of this form."""
    return dtype.size * math.prod(shape)
