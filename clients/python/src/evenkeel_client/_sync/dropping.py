"""Made from `_async/dropping.py` by generate_sync.py; edit that file."""

from __future__ import annotations

from typing import Any

from .._dropping import DropoutCall, DropoutReceiver
from .._libraries import A
from .._options import DropoutKind, Scaling
from .._retries import Deadline
from .._tensors import Tensor
from ..results import Dropped
from .caller import Caller


class Dropping(Caller):
    """Dropout and its gradient."""

    def dropout(
        self,
        x: A,
        p: float,
        *,
        seed: int = 0,
        offset: int = 0,
        kind: DropoutKind = "element",
        scaling: Scaling = "inverted",
        channel_axis: int | None = None,
        return_mask: bool = False,
        timeout: float | None = None,
    ) -> Dropped[A]:
        """Drop elements at random, by a mask that depends on `p`, `seed` and `offset` alone.

        `keep_mask` computes the same mask without a server.

        Args:
            x: The array, of any size. The channel kinds need two dimensions or more.
            p: The probability that an element is dropped, in [0, 1].
            seed: The key of the random stream, from 0 to 2^64 - 1. Calls with equal seeds have equal draws.
            offset: The index of the first draw. If slices of an array are sent apart, each with its own offset, their
                results join to the bytes of the whole. For the channel kinds draws are counted in (n, c).
            kind: `element`: one draw for each element; dropped elements become +0.0. `channel`: one for each (n, c) of an
                input (N, C, ...). `alpha`: one for each element, with an affine map that keeps mean and variance.
                `feature_alpha`: as `alpha`, with one draw for each (n, c).
            scaling: `inverted`: kept elements are multiplied by 1 / (1 - p). `none`: they return bit for bit; refused for
                the alpha kinds.
            channel_axis: The channel kinds: the axis of the channels, other than 0. Default 1. Refused for the others.
            return_mask: Whether the mask returns.
            timeout: The most seconds; by default the client's.

        Raises:
            EvenkeelError: see `evenkeel_client.errors`.

        """
        call = DropoutCall.of(
            Tensor.of("input", x),
            is_backward=False,
            p=p,
            seed=seed,
            offset=offset,
            kind=kind,
            scaling=scaling,
            channel_axis=channel_axis,
            return_mask=return_mask,
        )
        return self._dropped(call, self._deadline(timeout))

    def dropout_backward(
        self,
        grad_output: A,
        p: float,
        *,
        seed: int = 0,
        offset: int = 0,
        kind: DropoutKind = "element",
        scaling: Scaling = "inverted",
        channel_axis: int | None = None,
        timeout: float | None = None,
    ) -> A:
        """Return the gradient of a dropout's input. The gradients of dropped elements are exactly +0.0.

        Args:
            grad_output: The gradient of the dropout's output, of any size.
            p: As in the forward call.
            seed: As in the forward call.
            offset: As in the forward call.
            kind: As in the forward call.
            scaling: As in the forward call.
            channel_axis: As in the forward call.
            timeout: The most seconds; by default the client's.

        Raises:
            EvenkeelError: see `evenkeel_client.errors`.

        """
        call = DropoutCall.of(
            Tensor.of("grad_output", grad_output),
            is_backward=True,
            p=p,
            seed=seed,
            offset=offset,
            kind=kind,
            scaling=scaling,
            channel_axis=channel_axis,
        )
        dropped = self._dropped(call, self._deadline(timeout))
        gradient: A = dropped.output
        return gradient

    def _dropped(self, call: DropoutCall, deadline: Deadline) -> Dropped[Any]:
        parts = call.parts()
        size = call.message_bytes(parts)
        limits = self._limits(size, deadline)
        if limits.is_streamed(size, is_incremental=True):
            return self._exchanged(
                "DropoutStream", lambda: call.frames(limits.chunk_bytes), lambda: DropoutReceiver(call), deadline
            )
        method = "DropoutBackward" if call.is_backward else "Dropout"
        return call.decode(self._unary(method, parts, deadline))
