"""Time limits, and when a call is tried again."""

from __future__ import annotations

import random
import time

import grpc

from .errors import DeadlineExceeded, EvenkeelError, Overloaded

_FIRST_BACKOFF = 0.1
_LONGEST_BACKOFF = 5.0
_LONGEST_DELAY = 60.0
"""A server that asks for more is not waited for, whatever the deadline."""


class Deadline:
    """The moment at which a call must be done, with all its tries, passes and questions for limits."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Return the seconds that are left, or `None` for any time; raise `DeadlineExceeded` if none are."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"the call did not end within {self._timeout} seconds")
        return left

    def allows(self, delay: float) -> bool:
        """Return whether there is time for a delay."""
        return self._end is None or delay < self._end - time.monotonic()


class Retries:
    """The tries of one call.

    No call changes state on the server, so each may be tried again, and gives the same bits.
    """

    def __init__(self, most: int, deadline: Deadline) -> None:
        self._left = most
        self._deadline = deadline
        self._backoff = _FIRST_BACKOFF

    def delay(self, error: EvenkeelError) -> float | None:
        """Return the seconds to wait before the next try after this error; `None`: it is the call's result."""
        if isinstance(error, Overloaded):
            delay = self._next_backoff() if error.retry_after is None else error.retry_after
        elif error.code is grpc.StatusCode.UNAVAILABLE:
            delay = self._next_backoff()
        else:
            return None
        if self._left == 0 or delay > _LONGEST_DELAY or not self._deadline.allows(delay):
            return None
        self._left -= 1
        return delay

    def _next_backoff(self) -> float:
        """Return the next time to wait, which doubles from try to try, less up to a half at random."""
        backoff = self._backoff
        self._backoff = min(2 * backoff, _LONGEST_BACKOFF)
        return backoff * random.uniform(0.5, 1.0)  # noqa: S311 (spreads clients; keeps no secret)
