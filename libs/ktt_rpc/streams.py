"""Streams that go on: a client that neither sends nor reads does not keep its place for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from ktt_core.errors import UnavailableError

__all__ = ["answer", "received"]

Message = TypeVar("Message")


async def received(requests: AsyncIterator[Message], idle: float) -> AsyncIterator[Message]:
    """Yield what a client sends; the server's own work between two messages does not count.

    Parameters
    ----------
    requests : async iterator
    idle : float
        Seconds that the next message, or the stream's end, may be in coming.

    Raises
    ------
    UnavailableError
        If nothing came for so long.
    """
    while True:
        try:
            async with asyncio.timeout(idle):
                request = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UnavailableError(
                f"nothing came for {idle:g} s, and others want the place; call again and go on"
            ) from None
        yield request


async def answer(
    behavior: Callable[..., Any], request: Any, context: Any, idle: float | None
) -> None:
    """Send what a call answers, one message after the other.

    Parameters
    ----------
    behavior : callable
        Of the call: a coroutine that writes, or an asynchronous generator.
    request : object
        What it is called with.
    context : grpc.aio.ServicerContext
    idle : float or None
        Seconds that the client may leave a message untaken; None for any time.

    Raises
    ------
    UnavailableError
        If it does so for longer.
    """
    responses = behavior(request, context)
    if not hasattr(responses, "__aiter__"):
        await responses
        return
    # Closed at once when the caller goes: what a generator holds must not wait for the collector.
    async with aclosing(responses):
        async for response in responses:
            try:
                async with asyncio.timeout(idle):
                    await context.write(response)
            except TimeoutError:
                raise UnavailableError(
                    f"nothing was read for {idle:g} s, and others want the place; call again and "
                    "go on"
                ) from None
