"""Asynchronous sending of rows to the monitoring service, which never delays answers."""

from __future__ import annotations

import atexit
import http.client
import json
import logging
import os
import random
import threading
from collections.abc import Sequence
from multiprocessing.util import Finalize
from typing import NamedTuple

from ktt_core.errors import InvalidArgumentError
from ktt_serving import metrics
from ktt_serving.rows import RowBatch, RowQueue, post_body

__all__ = ["MonitorAddress", "MonitorPoster", "poster_from_environment"]

logger = logging.getLogger("ktt_serving")

# Rows and numbers per post: about 4 MB of JSON.
_POST_ROWS, _POST_CELLS = 500, 400_000
# Limit of the queue in bytes; rows of thousands of classes reach it before the limit of rows.
_QUEUE_BYTES = 64 << 20
# Seconds that rows are collected before they are sent.
_GATHER_SECONDS = 0.25
# Timeout of a post; a hanging service delays only this thread.
_POST_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# Time limit for the last rows of an ending process.
_GOODBYE_SECONDS = 2.0
# HTTP statuses that are retried.
_BUSY = (408, 425, 429)


class MonitorAddress(NamedTuple):
    """Address of the monitoring service."""

    host: str
    port: int


class _RefusedError(Exception):
    """The service has refused the post."""


class MonitorPoster:
    """Sends rows to the monitoring service.

    The thread starts with the first row, so that a process may fork before; after a later fork,
    queued rows stay with the parent.

    Parameters
    ----------
    address : MonitorAddress
    queue_rows : int
        Maximum number of queued rows; beyond it, the oldest are dropped and counted.
    """

    def __init__(self, address: MonitorAddress, queue_rows: int = 10_000) -> None:
        self.address = address
        self._queue_rows = queue_rows
        self._set_up()
        os.register_at_fork(after_in_child=self._set_up)

    def _set_up(self) -> None:
        self._queue = RowQueue(self._queue_rows, _QUEUE_BYTES)
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._complained = False

    def put(self, rows: RowBatch) -> None:
        """Queue rows. Never blocks on the service."""
        with self._lock:
            lost = self._queue.put(rows)
            metrics.ROWS_QUEUED.set(self._queue.n_rows)
            if self._thread is None and not self._stopping.is_set():
                self._start()
        if lost:
            metrics.ROWS.labels("dropped").inc(lost)
        self._arrived.set()

    def close(self, seconds: float = _GOODBYE_SECONDS) -> None:
        """Send queued rows until a time limit, and stop."""
        thread = self._thread
        self._stopping.set()
        self._arrived.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="ktt-monitor", daemon=True)
        self._thread.start()
        # Workers of a server end in either way.
        atexit.register(self.close)
        Finalize(self, self.close, exitpriority=100)

    def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            if not self._queue.n_rows:
                if self._stopping.is_set():
                    return
                self._arrived.wait()
                self._arrived.clear()
                self._stopping.wait(_GATHER_SECONDS)
                continue
            with self._lock:
                batches = self._queue.take(_POST_ROWS, _POST_CELLS)
                metrics.ROWS_QUEUED.set(self._queue.n_rows)
            if self._deliver(batches, pause):
                pause = _FIRST_PAUSE
            elif self._stopping.is_set():
                return
            else:
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _deliver(self, batches: Sequence[RowBatch], pause: float) -> bool:
        """Send rows, or put them back and wait; return whether the service is available."""
        rows = sum(map(len, batches))
        try:
            body, told = post_body(batches)
            if told:
                self._post(body)
            metrics.ROWS.labels("sent").inc(told)
            metrics.ROWS.labels("dropped").inc(rows - told)
            self._complained = False
            return True
        except _RefusedError as error:
            metrics.POSTS_FAILED.inc()
            metrics.ROWS.labels("dropped").inc(rows)
            self._complain(f"refuses rows ({error}); they are dropped")
            return True
        except Exception as error:
            # The thread must survive any error: a bundle works without its monitor.
            self._disconnect()
            metrics.POSTS_FAILED.inc()
            self._complain(f"cannot be reached ({type(error).__name__}: {error}); rows wait for it")
        self._put_back(batches)
        # Jitter: workers that lost the service together must not reconnect together.
        self._stopping.wait(pause * random.uniform(0.5, 1.0))
        return False

    def _put_back(self, batches: Sequence[RowBatch]) -> None:
        with self._lock:
            newer = self._queue
            self._queue = RowQueue(newer.max_rows, newer.max_bytes)
            lost = sum(self._queue.put(batch) for batch in batches)
            while newer.n_rows:
                lost += sum(map(self._queue.put, newer.take(newer.n_rows, 1 << 62)))
            metrics.ROWS_QUEUED.set(self._queue.n_rows)
        metrics.ROWS.labels("dropped").inc(lost)

    def _post(self, body: bytes) -> None:
        seconds = _GOODBYE_SECONDS / 2 if self._stopping.is_set() else _POST_SECONDS
        fresh = self._connection is None
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self.address, timeout=seconds)
        try:
            status, reason = self._exchange(body)
        except (ConnectionError, http.client.BadStatusLine):
            self._disconnect()
            if fresh:
                raise
            # A kept connection may have been closed meanwhile, while the service is available.
            self._connection = http.client.HTTPConnection(*self.address, timeout=seconds)
            status, reason = self._exchange(body)
        if 400 <= status < 500 and status not in _BUSY:
            raise _RefusedError(f"{status} {reason}")
        if not 200 <= status < 300:
            raise http.client.HTTPException(f"{status} {reason}")

    def _exchange(self, body: bytes) -> tuple[int, str]:
        assert self._connection is not None
        self._connection.request("POST", "/iterate", body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        said = response.read(1 << 20)
        if response.will_close or not response.isclosed():
            self._disconnect()
        return response.status, _reason(response.reason, said)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _complain(self, what: str) -> None:
        # Logged once until it works again, not at every attempt.
        if not self._complained:
            self._complained = True
            logger.warning("the monitoring service at %s:%d %s", *self.address, what)


def _reason(phrase: str, body: bytes) -> str:
    """Return what an answer says of a failure, as a line of a log."""
    try:
        error = json.loads(body)["error"]
    except (KeyError, RecursionError, TypeError, ValueError):
        return phrase
    return f"{phrase}: {error!r:.200}"


def poster_from_environment() -> MonitorPoster | None:
    """Return the poster that ``EVIDENTLY_HOST``, ``EVIDENTLY_PORT`` and ``KTT_MONITOR*`` configure.

    Returns
    -------
    MonitorPoster or None
        None if rows are switched off (``KTT_MONITOR=0``).

    Raises
    ------
    InvalidArgumentError
        If a value cannot be used.
    """
    if os.environ.get("KTT_MONITOR", "1") == "0":
        return None
    host = os.environ.get("EVIDENTLY_HOST") or "localhost"
    return MonitorPoster(
        MonitorAddress(host, _number("EVIDENTLY_PORT", 5001, 65535)),
        _number("KTT_MONITOR_QUEUE", 10_000, 10_000_000),
    )


def _number(name: str, default: int, largest: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdigit() or not 1 <= int(value) <= largest:
        raise InvalidArgumentError(
            f"{name} must be a whole number from 1 to {largest}, not {value!r:.40}"
        )
    return int(value)
