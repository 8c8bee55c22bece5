"""An event loop for a test."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["run", "settled"]


async def settled(count: int = 100) -> None:
    """Run the event loop until it is idle."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, for half a minute at most."""
    asyncio.run(asyncio.wait_for(main, 30))
