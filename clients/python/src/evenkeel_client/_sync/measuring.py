"""Made from `_async/measuring.py` by generate_sync.py; edit that file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._clipping import gradient_tensors
from .._libraries import TensorLike
from .._measuring import gradient_frames, norm_partial, statistics_frames, statistics_partial
from .._norm_partial import NormPartial
from .._normalization import Pooling
from .._options import Kind, number
from .._retries import Deadline
from .._statistics_partial import StatisticsPartial
from .._tensors import Tensor
from .caller import Caller


class Measuring(Caller):
    """The calls that measure."""

    def measure_gradients(
        self,
        gradients: Mapping[str, TensorLike] | Sequence[TensorLike],
        norm_type: float = 2.0,
        *,
        timeout: float | None = None,
    ) -> NormPartial:
        """Measure the norm of gradients in a form that merges.

        It is for gradients on several machines that are to be clipped by the norm of all: merge the partials of all
        machines, and pass the `total_norm` of the result to `clip_grad_norm`.

        Args:
            gradients: Arrays of any dtypes, shapes and sizes, by name or in a list. Names do not matter.
            norm_type: The order of the norm: 1, 2 or infinity, the orders that merge exactly.
            timeout: The most seconds; by default the client's.

        Raises:
            EvenkeelError: see `evenkeel_client.errors`.

        """
        tensors, order = gradient_tensors(gradients), number("norm_type", norm_type)
        return self._measured_gradients(tensors, order, self._deadline(timeout))

    def _measured_gradients(self, tensors: list[Tensor], norm_type: float, deadline: Deadline) -> NormPartial:
        limits = self._limits(sum(tensor.data.nbytes for tensor in tensors), deadline)
        message = self._collected(
            "MeasureGradients", lambda: gradient_frames(tensors, norm_type, limits.chunk_bytes), deadline
        )
        return norm_partial(message, tensors, norm_type)

    def measure_statistics(
        self,
        x: TensorLike,
        kind: Kind,
        *,
        axes: int | Sequence[int] | None = None,
        groups: int | None = None,
        channel_axis: int | None = None,
        grad_output: TensorLike | None = None,
        timeout: float | None = None,
    ) -> StatisticsPartial:
        """Measure the statistics of a part of a tensor in a form that merges.

        It is for tensors that are cut over several machines and are to be normalized as one: merge the partials of all
        machines, and pass the result to `normalize` as `statistics`.

        Args:
            x: The part, of any size. Its pooled axes may have another length in each part; all others must be the same.
            kind: The normalization: `batch`, `layer`, `rms`, `instance`, `group` or `l2`.
            axes: The axes to pool over, as in `normalize`.
            groups: `group`: the number of groups.
            channel_axis: `batch`, `instance`, `group`: the axis of the channels. Default 1.
            grad_output: `batch`, `instance`: the gradient of the output, in the dtype and shape of `x`. With it the
                statistics are those for `normalize_backward`.
            timeout: The most seconds; by default the client's.

        Raises:
            EvenkeelError: see `evenkeel_client.errors`.

        """
        pooling, tensor = Pooling.of(kind, axes, groups, channel_axis), Tensor.of("input", x)
        gradient = Tensor.optional("grad_output", grad_output)
        return self._measured_statistics(pooling, tensor, gradient, self._deadline(timeout))

    def _measured_statistics(
        self, pooling: Pooling, tensor: Tensor, grad_output: Tensor | None, deadline: Deadline
    ) -> StatisticsPartial:
        limits = self._limits(tensor.data.nbytes, deadline)
        message = self._collected(
            "MeasureStatistics",
            lambda: statistics_frames(pooling, tensor, grad_output, limits.chunk_bytes),
            deadline,
        )
        return statistics_partial(message, pooling, tensor.shape, has_gradients=grad_output is not None)
