"""The shapes that normalizations pool, brought to one form.

Every tensor is seen as (N, C, S): samples, channels (the places of weight and bias), positions. Layer, RMS and L2
normalization of rows of length L is N rows of L channels. A set that shares statistics becomes a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

KINDS = ("layer", "rms", "batch", "instance", "group", "l2")
# Kinds of rows, which have a weight for every place.
OF_ROWS = ("layer", "rms", "l2")


@dataclass(frozen=True)
class Pooling:
    kind: str
    samples: int
    channels: int
    positions: int
    groups: int = 1

    @staticmethod
    def of(kind: str, length: int, elements: int) -> Pooling:
        """Sets of `length`, as many as make about `elements`, and at least one."""
        sets = max(1, elements // length)
        if kind in OF_ROWS:
            return Pooling(kind, sets, length, 1)
        samples = next((n for n in (4, 3, 2) if sets % n == 0), 1)
        if kind == "batch":
            # A channel's values are spread over the samples where the length allows it, and are all samples otherwise.
            pooled = next((n for n in (8, 7, 3, 2) if length % n == 0 and length > n), length)
            return Pooling(kind, pooled, sets, length // pooled)
        if kind == "instance":
            return Pooling(kind, samples, sets // samples, length)
        each = next((n for n in (5, 4, 3, 2) if length % n == 0), 1)
        return Pooling(kind, samples, sets // samples * each, length // each, sets // samples)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor that is sent."""
        if self.kind in OF_ROWS:
            return (self.samples, self.channels)
        return (self.samples, self.channels, self.positions)

    @property
    def full(self) -> tuple[int, int, int]:
        return (self.samples, self.channels, self.positions)

    @property
    def centred(self) -> bool:
        return self.kind not in ("rms", "l2")

    def share(self, n: int) -> float:
        """The divisor of a sum over the n elements of a set."""
        return 1.0 if self.kind == "l2" else float(n)

    @property
    def has_running(self) -> bool:
        return self.kind in ("batch", "instance")

    def rows(self, tensor: NDArray) -> NDArray:
        """A tensor of shape (N, C, S) as one row for each set. Works on double-doubles, too."""
        tensor = tensor.reshape(self.full)
        if self.kind == "batch":
            return tensor.transpose(1, 0, 2).reshape(self.channels, -1)
        if self.kind == "group":
            return tensor.reshape(self.samples * self.groups, -1)
        if self.kind == "instance":
            return tensor.reshape(self.samples * self.channels, -1)
        return tensor.reshape(self.samples, -1)

    def tensor(self, rows: NDArray) -> NDArray:
        """The inverse of `rows`."""
        if self.kind == "batch":
            return rows.reshape(self.channels, self.samples, self.positions).transpose(1, 0, 2)
        return rows.reshape(self.full)

    def places(self, tensor: NDArray) -> NDArray:
        """A tensor as one row for each place of weight and bias."""
        return tensor.reshape(self.full).transpose(1, 0, 2).reshape(self.channels, -1)
