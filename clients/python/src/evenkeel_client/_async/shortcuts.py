"""Short forms of normalization, one for each kind."""

from __future__ import annotations

from collections.abc import Sequence

from .._libraries import A
from .._statistics_partial import StatisticsPartial
from ..results import Normalized
from .normalizing import Normalizing


class Shortcuts(Normalizing):
    """Short forms of `normalize`, which documents the arguments."""

    async def layer_norm(
        self,
        x: A,
        *,
        axes: int | Sequence[int] | None = None,
        weight: A | None = None,
        bias: A | None = None,
        eps: float | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Normalize over the last axis, or all but the first for four axes and more: `torch.nn.functional.layer_norm`."""
        return await self.normalize(
            x,
            "layer",
            axes=axes,
            weight=weight,
            bias=bias,
            eps=eps,
            statistics=statistics,
            return_statistics=return_statistics,
            timeout=timeout,
        )

    async def rms_norm(
        self,
        x: A,
        *,
        axes: int | Sequence[int] | None = None,
        weight: A | None = None,
        bias: A | None = None,
        eps: float | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Divide by the root of the mean square over the axes of `layer_norm`: `torch.nn.functional.rms_norm`."""
        return await self.normalize(
            x,
            "rms",
            axes=axes,
            weight=weight,
            bias=bias,
            eps=eps,
            statistics=statistics,
            return_statistics=return_statistics,
            timeout=timeout,
        )

    async def batch_norm(
        self,
        x: A,
        *,
        running_mean: A | None = None,
        running_var: A | None = None,
        training: bool | None = None,
        momentum: float | None = None,
        weight: A | None = None,
        bias: A | None = None,
        eps: float | None = None,
        channel_axis: int | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Normalize each channel over all other axes: `torch.nn.functional.batch_norm`."""
        return await self.normalize(
            x,
            "batch",
            running_mean=running_mean,
            running_var=running_var,
            training=training,
            momentum=momentum,
            weight=weight,
            bias=bias,
            eps=eps,
            channel_axis=channel_axis,
            statistics=statistics,
            return_statistics=return_statistics,
            timeout=timeout,
        )

    async def instance_norm(
        self,
        x: A,
        *,
        running_mean: A | None = None,
        running_var: A | None = None,
        training: bool | None = None,
        momentum: float | None = None,
        weight: A | None = None,
        bias: A | None = None,
        eps: float | None = None,
        channel_axis: int | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Normalize each channel of each sample: `torch.nn.functional.instance_norm`."""
        return await self.normalize(
            x,
            "instance",
            running_mean=running_mean,
            running_var=running_var,
            training=training,
            momentum=momentum,
            weight=weight,
            bias=bias,
            eps=eps,
            channel_axis=channel_axis,
            statistics=statistics,
            return_statistics=return_statistics,
            timeout=timeout,
        )

    async def group_norm(
        self,
        x: A,
        groups: int,
        *,
        weight: A | None = None,
        bias: A | None = None,
        eps: float | None = None,
        channel_axis: int | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Normalize each group of channels of each sample: `torch.nn.functional.group_norm`."""
        return await self.normalize(
            x,
            "group",
            groups=groups,
            weight=weight,
            bias=bias,
            eps=eps,
            channel_axis=channel_axis,
            statistics=statistics,
            return_statistics=return_statistics,
            timeout=timeout,
        )

    async def l2_norm(
        self,
        x: A,
        *,
        axes: int | Sequence[int] | None = None,
        eps: float | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Divide by the norm over axis 1, or axis 0 of a vector: `torch.nn.functional.normalize`."""
        return await self.normalize(
            x,
            "l2",
            axes=axes,
            eps=eps,
            statistics=statistics,
            return_statistics=return_statistics,
            timeout=timeout,
        )
