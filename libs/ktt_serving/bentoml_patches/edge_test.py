"""Bodies that are not there yet are waited for, but not for ever, nor in any number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from ktt_serving.bentoml_patches import edge

_HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"

Connect = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def served(clients: Callable[[Connect], Coroutine[Any, Any, None]]) -> None:
    """Run clients of a server that answers with the length of a body."""

    async def main() -> None:
        bodies = edge._Bodies()

        async def handle(request: web.Request) -> web.Response:
            try:
                return web.json_response(len(await bodies.read(request)))
            except edge._RefusedError as error:
                return error.response

        app = web.Application()
        app.router.add_post("/", handle)
        runner = web.AppRunner(edge.guard_the_connections(app))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        opened = []

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            opened.append(await asyncio.open_connection("127.0.0.1", port))
            return opened[-1]

        try:
            await clients(connect)
            for _, writer in opened:
                writer.close()
            await asyncio.sleep(0.2)
            assert bodies._bytes == 0
        finally:
            await runner.cleanup()

    asyncio.run(asyncio.wait_for(main(), 30))


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (
        int(line.split()[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
    )
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def sent(connect: Connect, length: int, body: bytes) -> asyncio.StreamReader:
    reader, writer = await connect()
    writer.write(_HEAD % length + body)
    with suppress(ConnectionError):
        await writer.drain()
    return reader


def test_a_body_that_does_not_come_ends_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "_BODY_SECONDS", 0.3)

    async def clients(connect: Connect) -> None:
        half = await sent(connect, 5, b"ab")
        whole = await sent(connect, 5, b"abcde")
        assert await answer(whole) == (200, 5)
        status, error = await answer(half)
        assert status == 408 and "not there within" in error["error"]

    served(clients)


def test_large_bodies_that_are_too_many_are_refused_and_no_small_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edge, "_MOST_HALF_BYTES", 300_000)

    async def clients(connect: Connect) -> None:
        half = []
        for _ in range(2):
            half.append(await sent(connect, 200_000, b"a" * 140_000))
            await asyncio.sleep(0.05)
        status, error = await answer(await sent(connect, 200_000, b"a" * 140_000))
        assert status == 429 and "too many large bodies" in error["error"]
        assert await answer(await sent(connect, 40_000, b"a" * 40_000)) == (200, 40_000)

    served(clients)


def test_a_body_is_too_large_however_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "MAX_BODY_BYTES", 100)

    async def clients(connect: Connect) -> None:
        assert (await answer(await sent(connect, 101, b"")))[0] == 413
        reader, writer = await connect()
        head = _HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
        writer.write(head + b"65\r\n" + b"a" * 101 + b"\r\n0\r\n\r\n")
        assert (await answer(reader))[0] == 413

    served(clients)
