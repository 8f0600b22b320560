"""What the calls return.

The arrays of a result are writable, and of the same library as their counterparts in the call: those of NumPy for NumPy,
those of torch for torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from ._libraries import A
from ._masks import Mask

G = TypeVar("G")
"""The collection of gradients: a dict or a list, as it was given."""


@dataclass(frozen=True, eq=False)
class Normalized(Generic[A]):
    """The result of a normalization."""

    output: A
    """The normalized array, in the input's shape and dtype."""
    axes: tuple[int, ...]
    """The axes that were pooled, ascending; for `group` including the channel axis, which is split into groups."""
    mean: A | None = None
    """The means, if `return_statistics` is set; not for `rms` and `l2`. Float64 for float64 input, else float32. The shape
    is the input's without the pooled axes; for `group` with the number of groups in place of the channel axis."""
    rstd: A | None = None
    """1 / sqrt(var + eps), if `return_statistics` is set; `rms`: 1 / sqrt(mean(x^2) + eps); `l2`: 1 / max(norm, eps). Its
    shape and dtype are those of `mean`."""
    running_mean: A | None = None
    """The new running mean, if one was given and the input's own statistics were used. Its dtype is the given one."""
    running_var: A | None = None
    """The new running variance, likewise."""


@dataclass(frozen=True, eq=False)
class NormalizeGradients(Generic[A]):
    """The gradients of a normalization."""

    grad_input: A
    """The gradient of the input, in its shape and dtype."""
    grad_weight: A | None = None
    """The gradient of the weight, in its shape and dtype, if a weight was given."""
    grad_bias: A | None = None
    """The gradient of the bias, in its shape and dtype, if a bias was given."""


@dataclass(frozen=True, eq=False)
class Dropped(Generic[A]):
    """The result of a dropout."""

    output: A
    """The array after dropout, in the input's shape and dtype."""
    kept: int
    """How many of its elements were kept."""
    mask: Mask | None = None
    """True where an element was kept, if `return_mask` is set: an array of NumPy, of the input's shape, or (N, C) for the
    channel kinds."""


@dataclass(frozen=True, eq=False)
class Clipped(Generic[G]):
    """The result of a clipping."""

    gradients: G
    """The gradients after clipping, as they were given: a dict with the same names, or a list."""
    total_norm: float
    """The norm over all gradients before clipping, or the one that was given."""
    scale: float
    """The factor that was applied: min(1, max_norm / (total_norm + epsilon)). By value: 1. With `per_tensor`: the smallest
    factor of any gradient."""
    clipped_elements: int
    """By value: the number of elements that were clamped."""
    tensor_norms: tuple[float, ...]
    """With `per_tensor`: the norm of each gradient before clipping, in the order given. Otherwise empty."""


@dataclass(frozen=True)
class ServerInfo:
    """A server's version, its limits, and what it can compute."""

    version: str
    """The server's version, in the form of Semantic Versioning."""
    max_message_bytes: int
    """The longest message that the server accepts or sends, in bytes."""
    max_stream_chunk_bytes: int
    """The longest chunk of a tensor that the server sends in a stream, in bytes. 0: it streams no tensors."""
    dtypes: tuple[str, ...]
    """The element types that the server computes on, of those that this client knows."""
    kinds: tuple[str, ...]
    """The normalizations that the server computes, of those that this client knows."""
    compression: tuple[str, ...]
    """The compression methods that the server accepts, by gRPC's names. This client sends messages plain."""
