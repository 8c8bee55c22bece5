"""Requests whose clients are gone cost those that are there nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from ktt_serving.batching import cancel_with_the_client
from ktt_serving.dispatcher import FairDispatcher, Slots

_REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n%d"


def test_what_clients_that_are_gone_asked_for_is_not_computed() -> None:
    async def main() -> None:
        computed: list[bytes] = []
        opened = asyncio.Event()

        async def answer(batch: Sequence[bytes]) -> Sequence[web.Response]:
            await opened.wait()
            computed.extend(batch)
            return [web.Response(body=body) for body in batch]

        ask = FairDispatcher(1000, 1, Slots(1), web.HTTPTooManyRequests)(answer)
        came = 0

        async def handle(request: web.Request) -> web.StreamResponse:
            nonlocal came
            body = await request.read()
            came += 1
            response: web.StreamResponse = await ask(body)
            return response

        app = web.Application()
        app.router.add_post("/", handle)
        runner = web.AppRunner(cancel_with_the_client(app))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            # The first is under way when the others come, and they go.
            for number in (1, 2, 2, 2, 3):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(_REQUEST % number)
                before = came
                while came == before:
                    await asyncio.sleep(0.001)
                if number == 2:
                    writer.close()
            await asyncio.sleep(0.1)
            opened.set()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.read(1) == b"3"
            assert computed == [b"1", b"3"]
        finally:
            await runner.cleanup()

    asyncio.run(asyncio.wait_for(main(), 30))
