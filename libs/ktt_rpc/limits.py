"""Limits on how often and how much at once is called."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ktt_core.errors import ResourceExhaustedError

__all__ = ["Places", "RateLimit", "TooMuchError", "peer_host"]

_BURST_SECONDS = 2.0
_MOST_PEERS = 10_000


class TooMuchError(ResourceExhaustedError):
    """A limit on calls is reached.

    Attributes
    ----------
    retry_after : float
        Seconds after which another try makes sense.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimit:
    """A bucket of calls per peer, which fills with time.

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
        # Peer to (calls left, when that was), the one that called last at the end.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> None:
        """Take a call from a peer's bucket.

        Raises
        ------
        TooMuchError
            It is empty.
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
            raise TooMuchError(
                f"more than {self._rate:g} calls per second from {peer}; try again in "
                f"{math.ceil(wait * 1000)} ms, and more slowly",
                wait,
            )


class Places:
    """A number of places for what goes on at once.

    Parameters
    ----------
    number : int
    what : str
        What they are for: "calls at once".
    """

    def __init__(self, number: int, what: str) -> None:
        self._number = number
        self._what = what
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place while the block runs.

        Raises
        ------
        TooMuchError
            All are taken.
        """
        if self._taken >= self._number:
            raise TooMuchError(
                f"the server has {self._number} {self._what}, which is as many as it takes; try "
                "again later",
                1.0,
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


def peer_host(peer: str) -> str:
    """Give the host of what gRPC calls a peer: ``ipv4:10.0.0.7:51234`` gives ``10.0.0.7``."""
    scheme, _, rest = peer.partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return scheme or "unknown"
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
