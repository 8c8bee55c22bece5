"""Stands in for the monitoring service: ``monitor_stub.py answers|hangs``.

Says the port it has taken on standard output, and serves until it is ended. One that answers reads
every post and takes it; one that hangs takes connections, and never reads.
"""

from __future__ import annotations

import asyncio
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the posts of one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length or b"0"))
            writer.write(_ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep a connection."""
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(3600)


async def serve(behaviour: str) -> None:
    """Serve until this process is ended."""
    handler = {"answers": answer, "hangs": hang}[behaviour]
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Parse the command line and serve."""
    asyncio.run(serve(sys.argv[1]))


if __name__ == "__main__":
    main()
