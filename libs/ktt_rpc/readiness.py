"""Readiness notification for systemd (``Type=notify``)."""

from __future__ import annotations

import logging
import os
import socket

__all__ = ["Readiness"]

_LOG = logging.getLogger(__name__)


class Readiness:
    """The supervisor of this process, if it asked for notifications.

    The environment variable ``NOTIFY_SOCKET`` names its datagram socket. The variable is removed,
    so that child processes do not inherit it.
    """

    def __init__(self) -> None:
        self._path = os.environ.pop("NOTIFY_SOCKET", "")

    def ready(self, address: str) -> None:
        """Notify that calls are accepted, and where."""
        self._tell(f"READY=1\nSTATUS={address}\n")

    def stopping(self) -> None:
        """Notify that the server is stopping."""
        self._tell("STOPPING=1\n")

    def _tell(self, message: str) -> None:
        if not self._path:
            return
        # "@" denotes the initial byte of names in the abstract namespace.
        path = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
                teller.settimeout(1.0)
                teller.sendto(message.encode(), path)
        except OSError as error:
            _LOG.warning("NOTIFY_SOCKET %s cannot be told: %s", self._path, error)
