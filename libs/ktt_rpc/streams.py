"""Idle timeouts of streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from ktt_core.errors import UnavailableError

__all__ = ["answer", "received"]

Message = TypeVar("Message")


async def received(requests: AsyncIterator[Message], idle: float) -> AsyncIterator[Message]:
    """Yield a client's messages; the server's work between two messages does not count as idle.

    Parameters
    ----------
    requests : async iterator
    idle : float
        Seconds to wait for the next message or the stream's end.

    Raises
    ------
    UnavailableError
        If nothing was received for so long.
    """
    while True:
        try:
            async with asyncio.timeout(idle):
                request = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UnavailableError(
                f"received nothing for {idle:g} s; the stream was ended, call again to continue"
            ) from None
        yield request


async def answer(
    behavior: Callable[..., Any], request: Any, context: Any, idle: float | None
) -> None:
    """Send the responses of a call, one after the other.

    Parameters
    ----------
    behavior : callable
        Implementation of the call: a coroutine that writes, or an asynchronous generator.
    request : object
        Its argument.
    context : grpc.aio.ServicerContext
    idle : float or None
        Seconds that the client may take to read a message; None for no limit.

    Raises
    ------
    UnavailableError
        If it takes longer.
    """
    responses = behavior(request, context)
    if not hasattr(responses, "__aiter__"):
        await responses
        return
    # Closed at once when the caller disconnects: resources of a generator must be released then.
    async with aclosing(responses):
        async for response in responses:
            try:
                async with asyncio.timeout(idle):
                    await context.write(response)
            except TimeoutError:
                raise UnavailableError(
                    f"the client read nothing for {idle:g} s; the stream was ended, call again to "
                    "continue"
                ) from None
