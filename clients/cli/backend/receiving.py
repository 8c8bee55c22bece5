"""Bytes that a service streams into a file: going on after a broken connection, verified."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from cli.backend.connection import Connection
from cli.backend.protocol import Watcher
from ktt_core.errors import DataError, UnavailableError
from ktt_core.progress import Progress
from ktt_rpc.client_calls import ktt_errors

__all__ = ["receive"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_BLOCK = 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")


def receive(
    open_stream: Callable[[int], Any],
    file: BinaryIO,
    connection: Connection,
    address: str,
    watcher: Watcher,
    after: str,
) -> None:
    """Fetch all; the time that a server may be away begins anew when bytes come.

    Parameters
    ----------
    open_stream : callable
        Calls the service for what comes after so many bytes. Its responses have a ``start`` with
        ``size_bytes`` and ``sha256`` of the whole, then ``chunk``s.
    file : file
        Empty, for reading and writing; left at its end.
    connection : Connection
    address : str
        Of the service, for messages.
    watcher : Watcher
        Hears of phase "download", in bytes, and of lost connections.
    after : str
        What to do when the service stays away.

    Raises
    ------
    DataError
        If what came is not what the service said it would send.
    UnavailableError
        If it stays away.
    """
    _Receiver(open_stream, file, connection, address, watcher, after).run()


class _Receiver:
    """The bytes of one file on their way; see `receive`."""

    def __init__(
        self,
        open_stream: Callable[[int], Any],
        file: BinaryIO,
        connection: Connection,
        address: str,
        watcher: Watcher,
        after: str,
    ) -> None:
        self._open_stream = open_stream
        self._file = file
        self._connection = connection
        self._address = address
        self._watcher = watcher
        self._after = after
        self._start: Any = None

    def run(self) -> None:
        """Fetch all, across lost connections."""
        patience = self._connection.reconnect
        deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
        while True:
            before = self._file.tell()
            try:
                self._receive()
                break
            except UnavailableError as error:
                if self._file.tell() > before:
                    deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
                left = deadline - time.monotonic()
                if left <= 0:
                    raise UnavailableError(f"{error}; {self._after}") from error
                if pause == _FIRST_PAUSE:
                    self._watcher.notice(
                        f"lost the connection to {self._address} ({error}); waiting up to "
                        f"{patience:,.0f} s for it ..."
                    )
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._verify()

    def _receive(self) -> None:
        """Append what is missing."""
        with ktt_errors():
            responses = self._open_stream(self._file.tell())
            try:
                for number, response in enumerate(responses):
                    self._take(response, first=number == 0)
            finally:
                responses.cancel()

    def _take(self, response: Any, first: bool) -> None:
        if first:
            start = response.start
            if _SHA256.fullmatch(start.sha256) is None or start.size_bytes <= 0:
                raise DataError(f"{self._address} does not say what it sends")
            if self._start is not None and self._start != start:
                raise DataError("what is fetched has changed meanwhile; fetch it again")
            self._start = start
            return
        size = self._start.size_bytes if self._start else 0
        self._file.write(response.chunk)
        if not response.chunk or self._file.tell() > size:
            raise DataError(f"something else came than the {size:,} bytes that were announced")
        self._watcher.progress(Progress("download", self._file.tell(), size, "bytes"))

    def _verify(self) -> None:
        start, size = self._start, self._file.tell()
        if start is None:
            raise DataError(f"{self._address} sent nothing")
        if size != start.size_bytes:
            raise DataError(f"what came has {size:,} bytes and not {start.size_bytes:,}")
        self._file.seek(0)
        digest = hashlib.sha256()
        while chunk := self._file.read(_BLOCK):
            digest.update(chunk)
        if digest.hexdigest() != start.sha256:
            raise DataError("the checksum of what came is wrong: it was changed on its way")
