"""Download of a file from a service: resumed after lost connections, and verified."""

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
    """Download a file; the wait for an unavailable server restarts whenever bytes arrive.

    Parameters
    ----------
    open_stream : callable
        Calls the service for the bytes from an offset on. Its responses have a ``start`` with
        ``size_bytes`` and ``sha256`` of the whole file, then ``chunk``s.
    file : file
        Empty, open for reading and writing; positioned at its end afterwards.
    connection : Connection
    address : str
        Of the service, for messages.
    watcher : Watcher
        Receives progress of phase "download", in bytes, and notices of lost connections.
    after : str
        Advice if the service stays unavailable.

    Raises
    ------
    DataError
        If the received data are not as announced.
    UnavailableError
        If it stays unavailable.
    """
    _Receiver(open_stream, file, connection, address, watcher, after).run()


class _Receiver:
    """The download of one file; see `receive`."""

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
        """Download all, with reconnects."""
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
        """Append the missing bytes."""
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
                raise DataError(f"{self._address} did not announce what it sends")
            if self._start is not None and self._start != start:
                raise DataError("the file has changed meanwhile; fetch it again")
            self._start = start
            return
        size = self._start.size_bytes if self._start else 0
        self._file.write(response.chunk)
        if not response.chunk or self._file.tell() > size:
            raise DataError(f"the received data are not the {size:,} bytes that were announced")
        self._watcher.progress(Progress("download", self._file.tell(), size, "bytes"))

    def _verify(self) -> None:
        start, size = self._start, self._file.tell()
        if start is None:
            raise DataError(f"{self._address} sent nothing")
        if size != start.size_bytes:
            raise DataError(f"the received file has {size:,} bytes and not {start.size_bytes:,}")
        self._file.seek(0)
        digest = hashlib.sha256()
        while chunk := self._file.read(_BLOCK):
            digest.update(chunk)
        if digest.hexdigest() != start.sha256:
            raise DataError(
                "the checksum of the received file is wrong: it was changed during the transfer"
            )
