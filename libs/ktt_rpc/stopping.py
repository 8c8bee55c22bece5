"""Word, for everything that waits, that the server is stopping."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Stopping"]


class Stopping:
    """A flag of one event loop that tells those who asked when it goes up. Once up, it stays."""

    def __init__(self) -> None:
        self._begun = False
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def begun(self) -> bool:
        """Whether it is up."""
        return self._begun

    def begin(self) -> None:
        """Put the flag up."""
        self._begun = True
        for callback in list(self._callbacks.values()):
            callback()

    def on_begin(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called, in the event loop, when the flag goes up; at once if it is.

        Returns
        -------
        callable
            Takes it back.
        """
        key = object()
        self._callbacks[key] = callback
        if self._begun:
            callback()

        def take_back() -> None:
            self._callbacks.pop(key, None)

        return take_back
