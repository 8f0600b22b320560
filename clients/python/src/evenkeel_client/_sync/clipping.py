"""Made from `_async/clipping.py` by generate_sync.py; edit that file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

from .._clipping import NORM, NORM_PER_TENSOR, VALUE, ClipCall, ClipReceiver
from .._libraries import A
from .._limits import Limits
from .._norm_partial import NormPartial
from .._options import flag
from .._proto import tensor_ops_pb2 as pb
from .._retries import Deadline
from ..errors import NeedsTwoPasses, NonfiniteNorm
from ..results import Clipped
from .measuring import Measuring


class Clipping(Measuring):
    """The clipping of gradients."""

    @overload
    def clip_grad_norm(
        self,
        gradients: Mapping[str, A],
        max_norm: float,
        *,
        norm_type: float = ...,
        total_norm: float | None = ...,
        epsilon: float | None = ...,
        not_above: bool = ...,
        error_if_nonfinite: bool = ...,
        per_tensor: bool = ...,
        timeout: float | None = ...,
    ) -> Clipped[dict[str, A]]: ...

    @overload
    def clip_grad_norm(
        self,
        gradients: Sequence[A],
        max_norm: float,
        *,
        norm_type: float = ...,
        total_norm: float | None = ...,
        epsilon: float | None = ...,
        not_above: bool = ...,
        error_if_nonfinite: bool = ...,
        per_tensor: bool = ...,
        timeout: float | None = ...,
    ) -> Clipped[list[A]]: ...

    def clip_grad_norm(
        self,
        gradients: Any,
        max_norm: float,
        *,
        norm_type: float = 2.0,
        total_norm: float | None = None,
        epsilon: float | None = None,
        not_above: bool = False,
        error_if_nonfinite: bool = False,
        per_tensor: bool = False,
        timeout: float | None = None,
    ) -> Clipped[Any]:
        """Scale gradients so that their norm is at most `max_norm`, as `torch.nn.utils.clip_grad_norm_` does.

        Gradients that need no scaling return bit for bit. Norms of order 1, 2 and infinity are exact sums, rounded once.

        Args:
            gradients: Arrays of any dtypes, shapes and sizes, by name or in a list. They are not changed.
            max_norm: The largest norm. Not NaN, not negative.
            norm_type: The order of the norm: above 0, or infinity for the largest absolute value.
            total_norm: A norm that was reduced elsewhere, for gradients on several machines. It replaces the norm of
                `gradients`. Refused with `per_tensor`.
            epsilon: Added to the norm before `max_norm` is divided by it. Default 1e-6, as in PyTorch; Optax and
                TensorFlow use 0.
            not_above: Whether the exact norm of the result must never exceed `max_norm`, as differential privacy
                requires. For the orders 1, 2 and infinity; refused beside `total_norm`.
            error_if_nonfinite: Whether a norm that is NaN or infinite raises `NonfiniteNorm`. By default a NaN norm makes
                all elements NaN, and an infinite one makes finite elements 0 and infinite ones NaN, as in PyTorch.
            per_tensor: Whether each gradient is scaled by its own norm instead of the norm over all.
            timeout: The most seconds; by default the client's.

        Raises:
            NonfiniteNorm: see `error_if_nonfinite`.
            EvenkeelError: see `evenkeel_client.errors`.

        """
        call = ClipCall.of(
            gradients,
            NORM_PER_TENSOR if flag("per_tensor", per_tensor) else NORM,
            max_norm,
            norm_type=norm_type,
            error_if_nonfinite=error_if_nonfinite,
            total_norm=total_norm,
            epsilon=epsilon,
            not_above=not_above,
        )
        return self._clipped(call, self._deadline(timeout))

    @overload
    def clip_grad_value(
        self,
        gradients: Mapping[str, A],
        max_value: float,
        *,
        norm_type: float = ...,
        error_if_nonfinite: bool = ...,
        timeout: float | None = ...,
    ) -> Clipped[dict[str, A]]: ...

    @overload
    def clip_grad_value(
        self,
        gradients: Sequence[A],
        max_value: float,
        *,
        norm_type: float = ...,
        error_if_nonfinite: bool = ...,
        timeout: float | None = ...,
    ) -> Clipped[list[A]]: ...

    def clip_grad_value(
        self,
        gradients: Any,
        max_value: float,
        *,
        norm_type: float = 2.0,
        error_if_nonfinite: bool = False,
        timeout: float | None = None,
    ) -> Clipped[Any]:
        """Clamp every element to [-max_value, max_value], as `torch.nn.utils.clip_grad_value_` does; NaN stays NaN.

        Args:
            gradients: Arrays of any dtypes, shapes and sizes, by name or in a list. They are not changed.
            max_value: The largest absolute value, rounded to the dtype of each gradient. Not NaN, not negative.
            norm_type: The order of the `total_norm` of the result.
            error_if_nonfinite: Whether a norm that is NaN or infinite raises `NonfiniteNorm`.
            timeout: The most seconds; by default the client's.

        Raises:
            NonfiniteNorm: see `error_if_nonfinite`.
            EvenkeelError: see `evenkeel_client.errors`.

        """
        call = ClipCall.of(gradients, VALUE, max_value, norm_type=norm_type, error_if_nonfinite=error_if_nonfinite)
        return self._clipped(call, self._deadline(timeout))

    def _clipped(self, call: ClipCall, deadline: Deadline) -> Clipped[Any]:
        parts = call.parts()
        size = call.message_bytes(parts)
        limits = self._limits(size, deadline)
        if not limits.is_streamed(size, is_incremental=call.is_incremental):
            return call.decode(self._unary("ClipGradients", parts, deadline))
        try:
            return self._clip_stream(call, limits, deadline)
        except NeedsTwoPasses:
            if not call.is_measured:
                raise
        if call.options.mode == NORM:
            return self._clip_measured(call, limits, deadline)
        return self._clip_each(call, limits, deadline)

    def _clip_stream(self, call: ClipCall, limits: Limits, deadline: Deadline) -> Clipped[Any]:
        return self._exchanged(
            "ClipGradientsStream", lambda: call.frames(limits.chunk_bytes), lambda: ClipReceiver(call), deadline
        )

    def _clip_measured(self, call: ClipCall, limits: Limits, deadline: Deadline) -> Clipped[Any]:
        """Clip by one norm in two passes, of which neither needs memory in the server."""
        norm = self._measured_gradients(call.gradients, call.options.norm_type, deadline)
        return self._clip_stream(call.with_total_norm(norm.total_norm), limits, deadline)

    def _clip_each(self, call: ClipCall, limits: Limits, deadline: Deadline) -> Clipped[Any]:
        """Clip each gradient by its own norm in two passes."""
        arrays: list[Any] = []
        norms: list[NormPartial] = []
        scale = math.inf
        for index in range(len(call.gradients)):
            one = call.one(index)
            norm = self._measured_gradients(one.gradients, call.options.norm_type, deadline)
            try:
                clipped = self._clip_stream(one.with_total_norm(norm.total_norm), limits, deadline)
            except NonfiniteNorm as error:
                error.gradients = [(index, name) for _, name in error.gradients]
                raise
            arrays += clipped.gradients
            norms.append(norm)
            scale = clipped.scale if math.isnan(clipped.scale) or clipped.scale < scale else scale
        answer = pb.ClipGradientsResponse(
            total_norm=norms[0].merge(*norms[1:]).total_norm,
            scale=scale,
            tensor_norms=[norm.total_norm for norm in norms],
        )
        return call.result(arrays, answer)
