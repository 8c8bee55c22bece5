"""Telling who started this server that it takes calls: systemd's protocol (``Type=notify``)."""

from __future__ import annotations

import logging
import os
import socket

__all__ = ["Readiness"]

_LOG = logging.getLogger(__name__)


class Readiness:
    """Who started this process and wants to know how it is, if anybody does.

    The environment variable ``NOTIFY_SOCKET`` names a datagram socket to tell it to. It is taken
    out of the environment: programs that this one starts are not asked.
    """

    def __init__(self) -> None:
        self._path = os.environ.pop("NOTIFY_SOCKET", "")

    def ready(self, address: str) -> None:
        """Tell that calls are taken, and where."""
        self._tell(f"READY=1\nSTATUS={address}\n")

    def stopping(self) -> None:
        """Tell that the end has begun."""
        self._tell("STOPPING=1\n")

    def _tell(self, message: str) -> None:
        if not self._path:
            return
        # "@" stands for the byte that names in the abstract namespace begin with.
        path = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
                teller.settimeout(1.0)
                teller.sendto(message.encode(), path)
        except OSError as error:
            _LOG.warning("NOTIFY_SOCKET %s cannot be told: %s", self._path, error)
