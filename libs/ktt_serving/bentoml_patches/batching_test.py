"""Requests whose clients are gone cost those that are there nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiohttp import web

from ktt_serving.bentoml_patches.batching import fair_dispatcher
from ktt_serving.bentoml_patches.edge import guard_the_connections
from ktt_serving.dispatcher import Slots

_REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n%d"


def test_what_clients_that_are_gone_asked_for_is_not_computed() -> None:
    async def main() -> None:
        computed: list[bytes] = []
        opened = asyncio.Event()

        async def answer(batch: Sequence[bytes]) -> Sequence[web.Response]:
            await opened.wait()
            computed.extend(batch)
            return [web.Response(body=body) for body in batch]

        ask = fair_dispatcher(1, Slots(1), takes_lists=False)(answer)
        came = 0

        async def handle(request: web.Request) -> web.StreamResponse:
            nonlocal came
            body = await request.read()
            came += 1
            response: web.StreamResponse = await ask(body)
            return response

        app = web.Application()
        app.router.add_post("/", handle)
        runner = web.AppRunner(guard_the_connections(app))
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


def test_one_too_many_is_told_so_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktt_serving.dispatcher._MOST_WAITING", 1)

    async def main() -> None:
        async def answer(batch: Sequence[bytes]) -> Sequence[bytes]:
            return batch

        ask = fair_dispatcher(1, Slots(1), takes_lists=False)(answer)
        first, second = await asyncio.gather(ask(b"1"), ask(b"2"))
        assert first == b"1"
        assert (second.status, second.content_type) == (429, "application/json")
        assert "try again later" in json.loads(second.body)["error"]

    asyncio.run(main())
