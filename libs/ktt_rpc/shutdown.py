"""A flag that tells waiting calls that the server is stopping."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["ShutdownFlag"]


class ShutdownFlag:
    """A flag of one event loop, which calls its listeners when it is set. It is never cleared."""

    def __init__(self) -> None:
        self._is_set = False
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def is_set(self) -> bool:
        """Whether the server is stopping."""
        return self._is_set

    def set(self) -> None:
        """Set the flag and call all listeners."""
        self._is_set = True
        for callback in list(self._callbacks.values()):
            callback()

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback`, in the event loop, when the flag is set; at once if it is already.

        Returns
        -------
        callable
            Removes the callback.
        """
        key = object()
        self._callbacks[key] = callback
        if self._is_set:
            callback()

        def remove() -> None:
            self._callbacks.pop(key, None)

        return remove
