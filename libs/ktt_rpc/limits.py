"""Limits on the rate and the number of concurrent calls."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ktt_core.errors import ResourceExhaustedError

__all__ = ["ConcurrencyLimit", "RateLimit", "LimitReachedError", "peer_host"]

_BURST_SECONDS = 2.0
_MOST_PEERS = 10_000


class LimitReachedError(ResourceExhaustedError):
    """A limit on calls was reached.

    Attributes
    ----------
    retry_after : float
        Seconds after which to try again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimit:
    """A token bucket per peer.

    Parameters
    ----------
    rate : float
        Calls per second; 0 for no limit.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._size = max(1.0, rate * _BURST_SECONDS)
        self._clock = clock
        # Peer to (tokens left, time of that count), ordered by the last call.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> None:
        """Take a token from a peer's bucket.

        Raises
        ------
        LimitReachedError
            If it is empty.
        """
        if self._rate <= 0:
            return
        now = self._clock()
        left, then = self._buckets.pop(peer, (self._size, now))
        left = min(self._size, left + (now - then) * self._rate)
        taken = left >= 1
        self._buckets[peer] = (left - 1 if taken else left, now)
        if len(self._buckets) > _MOST_PEERS:
            self._buckets.popitem(last=False)
        if not taken:
            wait = (1 - left) / self._rate
            raise LimitReachedError(
                f"more than {self._rate:g} calls per second from {peer}; try again in "
                f"{math.ceil(wait * 1000)} ms, and more slowly",
                wait,
            )


class ConcurrencyLimit:
    """Limit on the calls or streams that run at the same time.

    Parameters
    ----------
    number : int
    what : str
        What is limited: "calls in work".
    """

    def __init__(self, number: int, what: str) -> None:
        self._number = number
        self._what = what
        self._in_use = 0

    @property
    def in_use(self) -> int:
        """The number that run now."""
        return self._in_use

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Count the body as one that runs.

        Raises
        ------
        LimitReachedError
            If as many run already.
        """
        if self._in_use >= self._number:
            raise LimitReachedError(
                f"the server has {self._number} {self._what}, which is as many as it takes; try "
                "again later",
                1.0,
            )
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1


def peer_host(peer: str) -> str:
    """Return the host of a gRPC peer: ``ipv4:10.0.0.7:51234`` gives ``10.0.0.7``."""
    scheme, _, rest = peer.partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return scheme or "unknown"
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
