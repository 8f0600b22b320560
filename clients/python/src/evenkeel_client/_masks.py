"""The masks of dropout, computed without a server."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._options import UINT64, integer, probability
from .errors import InvalidArgument, ProtocolError

_DRAWS_OF_A_BLOCK = 8
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def keep_mask(seed: int, n: int, p: float, offset: int = 0) -> Mask:
    """Return which of `n` elements a dropout keeps, by the draws `offset` to `offset + n - 1` of the seed.

    The server's masks are the same, bit for bit: draw i of the Philox4x64-10 stream keeps if it is at least
    ceil(p * 2^32). For the channel kinds, a draw stands for a channel of a sample.

    Args:
        seed: The key of the stream, from 0 to 2^64 - 1.
        n: The number of draws.
        p: The probability that an element is dropped, in [0, 1].
        offset: The index of the first draw, from 0 to 2^64 - 1.

    Returns:
        `n` booleans, True for an element that is kept.

    Raises:
        InvalidArgument: an argument is out of its range, or the draws go beyond 2^64.

    """
    seed, offset = integer("seed", seed, UINT64), integer("offset", offset, UINT64)
    n, p = integer("n", n, UINT64), probability("p", p)
    if offset + n > 1 << 64:
        raise InvalidArgument.of("offset", "expected draws within the 2^64 of a stream")
    # NumPy increments the counter before it makes a block, so a generator with counter c begins with block c.
    block, skip = divmod(offset, _DRAWS_OF_A_BLOCK)
    raw = np.random.Philox(key=seed, counter=block).random_raw((skip + n + 1) // 2)
    # The lower half of each 64-bit word comes first.
    draws = raw.astype("<u8", copy=False).view("<u4")[skip : skip + n]
    kept: Mask = draws >= np.uint64(math.ceil(p * 2**32))  # 2^32, for p = 1, needs 33 bits.
    return kept


def unpacked(packed: bytes, shape: tuple[int, ...]) -> Mask:
    """Return the mask of a response: one bit for each draw, the lowest bit of a byte first."""
    draws = math.prod(shape)
    if len(packed) != (draws + 7) // 8:
        raise ProtocolError.of("mask", f"has {len(packed)} bytes where {draws} draws need {(draws + 7) // 8}")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=draws, bitorder="little")
    return bits.view(np.bool_).reshape(shape)
