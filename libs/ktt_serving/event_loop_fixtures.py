"""An event loop of a test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["run", "settled"]


async def settled(count: int = 100) -> None:
    """Let the event loop turn until nothing more happens."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, for half a minute at most."""
    asyncio.run(asyncio.wait_for(main, 30))
