"""Made from `_async/normalizing.py` by generate_sync.py; edit that file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._libraries import A
from .._limits import Limits
from .._normalization import NormalizeCall, NormalizeReceiver, Pooling
from .._options import Kind
from .._retries import Deadline
from .._statistics_partial import StatisticsPartial
from ..errors import MessageTooLarge, NeedsTwoPasses
from ..results import Normalized, NormalizeGradients
from .measuring import Measuring


class Normalizing(Measuring):
    """Normalization and its gradients."""

    def normalize(
        self,
        x: A,
        kind: Kind,
        *,
        axes: int | Sequence[int] | None = None,
        groups: int | None = None,
        eps: float | None = None,
        channel_axis: int | None = None,
        training: bool | None = None,
        momentum: float | None = None,
        weight: A | None = None,
        bias: A | None = None,
        running_mean: A | None = None,
        running_var: A | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> Normalized[A]:
        """Normalize an array: y = (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance.

        Args:
            x: The array, of any size.
            kind: What is pooled together. `batch`: all but the channel axis. `layer`: the last axis of up to three, or all
                but the first. `rms`: as `layer`, by the root of the mean square, without subtracting the mean.
                `instance`: all but axis 0 and the channel axis. `group`: groups of channels, with all axes but 0.
                `l2`: axis 1, divided by the norm.
            axes: The axes to pool over instead. Negative ones count from the end. `group`: the axes that are pooled
                together with a group's channels.
            groups: `group`: the number of groups, which must divide the number of channels. Refused for the others.
            eps: Added to the variance (`rms`: to the mean square). Default 1e-5; `rms`: 2^-23, and 2^-52 for float64.
                `l2`: the smallest divisor, by default 1e-12.
            channel_axis: `batch`, `instance`, `group`: the axis of the channels. Default 1. Refused for the others.
            training: `batch`, `instance`: whether the input's own statistics are taken, and the running ones updated.
                Default: whether no running statistics are given.
            momentum: The weight of the new statistics in the running ones, in [0, 1]. Default 0.1.
            weight: The scale, of any dtype. `layer`, `rms`: in the shape of the pooled axes; `batch`, `instance`,
                `group`: one for each channel. Default: 1. Refused for `l2`.
            bias: The shift, in the shape of `weight`. Default: 0. Refused for `l2`.
            running_mean: `batch`, `instance`: the running mean, one for each channel.
            running_var: `batch`, `instance`: the running (unbiased) variance. Given with `running_mean` or not at all.
            statistics: The merged statistics of all parts of a tensor of which `x` is one, from `measure_statistics`.
                They take the place of the input's own.
            return_statistics: Whether `mean` and `rstd` return.
            timeout: The most seconds; by default the client's.

        Raises:
            EvenkeelError: see `evenkeel_client.errors`.

        """
        call = NormalizeCall.of(
            x,
            Pooling.of(kind, axes, groups, channel_axis),
            eps=eps,
            training=training,
            momentum=momentum,
            statistics=statistics,
            return_statistics=return_statistics,
            weight=weight,
            bias=bias,
            running_mean=running_mean,
            running_var=running_var,
        )
        deadline, parts = self._deadline(timeout), call.parts()
        size = call.message_bytes(parts)
        limits = self._limits(size, deadline)
        if limits.is_streamed(size, is_incremental=call.is_incremental):
            return self._normalize_stream(call, limits, deadline)
        return call.decode(self._unary("Normalize", parts, deadline))

    def _normalize_stream(self, call: NormalizeCall, limits: Limits, deadline: Deadline) -> Normalized[Any]:
        """Normalize in chunks, in two passes if the server has no memory for what is pooled together."""
        try:
            return self._normalize_pass(call, limits, deadline)
        except NeedsTwoPasses:
            if not call.uses_own_statistics:
                raise
        statistics = self._measured_statistics(call.pooling, call.input, None, deadline)
        return self._normalize_pass(call.with_statistics(statistics), limits, deadline)

    def _normalize_pass(self, call: NormalizeCall, limits: Limits, deadline: Deadline) -> Normalized[Any]:
        return self._exchanged(
            "NormalizeStream", lambda: call.frames(limits.chunk_bytes), lambda: NormalizeReceiver(call), deadline
        )

    def normalize_backward(
        self,
        x: A,
        grad_output: A,
        kind: Kind,
        *,
        axes: int | Sequence[int] | None = None,
        groups: int | None = None,
        eps: float | None = None,
        channel_axis: int | None = None,
        training: bool | None = None,
        momentum: float | None = None,
        weight: A | None = None,
        bias: A | None = None,
        running_mean: A | None = None,
        running_var: A | None = None,
        statistics: StatisticsPartial | None = None,
        return_statistics: bool = False,
        timeout: float | None = None,
    ) -> NormalizeGradients[A]:
        """Return the gradients of a normalization with respect to its input, weight and bias.

        Both arrays together must fit in a message of the server: there is no stream for larger ones. Parts of them do,
        with the `statistics` of the whole.

        Args:
            x: The input of the forward call.
            grad_output: The gradient of its output, in the dtype and shape of `x`.
            kind: As in the forward call.
            axes: As in the forward call.
            groups: As in the forward call.
            eps: As in the forward call.
            channel_axis: As in the forward call.
            training: As in the forward call.
            momentum: Has no effect; accepted so that the same options serve both directions.
            weight: As in the forward call. If it is given, `grad_weight` returns.
            bias: As in the forward call; its values do not matter. If it is given, `grad_bias` returns.
            running_mean: As it was before the forward call.
            running_var: As it was before the forward call.
            statistics: `batch`, `instance`: the merged statistics of all parts, measured with `grad_output`.
            return_statistics: Has no effect; accepted as `momentum` is.
            timeout: The most seconds; by default the client's.

        Raises:
            MessageTooLarge: `x` and `grad_output` are too large together.
            EvenkeelError: see `evenkeel_client.errors`.

        """
        call = NormalizeCall.of(
            x,
            Pooling.of(kind, axes, groups, channel_axis),
            eps=eps,
            training=training,
            momentum=momentum,
            statistics=statistics,
            return_statistics=return_statistics,
            grad_output=grad_output,
            weight=weight,
            bias=bias,
            running_mean=running_mean,
            running_var=running_var,
        )
        deadline, parts = self._deadline(timeout), call.parts()
        size = sum(map(len, parts))
        limits = self._limits(size, deadline)
        if size > limits.max_message_bytes:
            limit = f"{size} bytes is larger than the server's limit of {limits.max_message_bytes} bytes"
            raise MessageTooLarge(f"the request of {limit}, and gradients of a normalization have no stream")
        return call.decode_gradients(self._unary("NormalizeBackward", parts, deadline))
