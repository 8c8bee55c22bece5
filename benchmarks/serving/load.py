"""The clients: each sends a text, waits for the answer, and sends the next.

Runs as a program, so that it has a core of its own if there is one, and tells what it cost:
``load.py HOST:PORT PATH CLIENTS SECONDS``, bodies on standard input one a line, figures as JSON on
standard output. It speaks only as much HTTP as it takes, over connections that are kept, which
costs a small part of what any server does for a request.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CLOSE = re.compile(rb"(?i)\r\nconnection: *close")
# Answers that come before are not counted: the first batches are small.
_WARM_SECONDS = 0.5
# What is under way at the end may take so long; nothing of it counts.
_LAST_SECONDS = 60.0


@dataclass
class Point:
    """One measurement.

    Attributes
    ----------
    requests : iterator of bytes
        Whole HTTP requests.
    begin, end : float
        The time in which answers count.
    milliseconds : list of float
        Of every answer that counts.
    failures : dict of str to int
        Everything but a 200, by status or by the error's name.
    answered : int
        All answers, those that do not count too.
    """

    requests: Iterator[bytes]
    begin: float
    end: float
    milliseconds: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    answered: int = 0

    def fail(self, what: str) -> None:
        """Count a failure."""
        self.failures[what] = self.failures.get(what, 0) + 1


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, point: Point, done: asyncio.Future[None]) -> None:
        self.point, self.done = point, done
        self.buffer = b""
        self.needed = 0
        self.sent = 0.0

    def connection_made(self, transport: Any) -> None:
        """Send the first request."""
        self.transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer."""
        self.buffer += data
        if not self.needed:
            head, found, _ = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = _LENGTH.search(head)
            if length is None:
                self._end("no Content-Length")
                return
            self.needed = len(head) + 4 + int(length[1])
        if len(self.buffer) >= self.needed:
            self._answered(self.buffer[: self.needed])

    def connection_lost(self, error: Exception | None) -> None:
        """Count what was under way as failed."""
        if not self.done.done():
            self._end("connection lost")

    def _answered(self, answer: bytes) -> None:
        now, point = time.perf_counter(), self.point
        point.answered += 1
        if point.begin <= now <= point.end:
            if answer[9:12] == b"200":
                point.milliseconds.append((now - self.sent) * 1e3)
            else:
                point.fail(answer[9:12].decode())
        self.buffer, self.needed = b"", 0
        if now > point.end:
            self._end()
        elif _CLOSE.search(answer):
            self._end("closed")
        else:
            self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(next(self.point.requests))

    def _end(self, failure: str = "") -> None:
        if failure:
            self.point.fail(failure)
        if not self.done.done():
            self.done.set_result(None)
        self.transport.abort()


async def put_on(host: str, port: int, clients: int, seconds: float, requests: list[bytes]) -> Any:
    """Return the figures of one measurement."""
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    begin = start + min(_WARM_SECONDS, seconds / 4)
    point = Point(itertools.cycle(requests), begin, begin + seconds)

    async def client() -> None:
        # A server may end a connection; another takes its place while there is time.
        while time.perf_counter() < point.end:
            done: asyncio.Future[None] = loop.create_future()
            try:
                await loop.create_connection(partial(Client, point, done), host, port)
            except OSError as error:
                point.fail(type(error).__name__)
                await asyncio.sleep(0.1)
                continue
            await done

    tasks = [loop.create_task(client()) for _ in range(clients)]
    await asyncio.sleep(point.begin - start)
    cpu = time.process_time()
    await asyncio.sleep(seconds)
    cpu = time.process_time() - cpu
    _, late = await asyncio.wait(tasks, timeout=_LAST_SECONDS)
    for task in late:
        point.fail("no answer")
        task.cancel()
    return {
        "seconds": seconds,
        "milliseconds": [round(value, 3) for value in point.milliseconds],
        "failures": point.failures,
        "answered": point.answered,
        "cpu_seconds": cpu,
    }


def main() -> None:
    """Parse the command line, run, print."""
    address, path, clients, seconds = sys.argv[1:5]
    host, _, port = address.rpartition(":")
    requests = [
        b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path.encode(), address.encode(), len(body), body)
        for body in sys.stdin.buffer.read().splitlines()
    ]
    figures = asyncio.run(put_on(host, int(port), int(clients), float(seconds), requests))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
