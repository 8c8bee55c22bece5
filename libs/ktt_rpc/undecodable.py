"""Refusal of undecodable requests within the call, where it is logged and counted.

gRPC itself would end such a call with UNKNOWN before the interceptor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf.message import DecodeError

from ktt_core.errors import InvalidArgumentError

__all__ = ["Undecodable", "check_readable", "readable_requests", "tolerant_deserializer"]


class Undecodable:
    """Placeholder for a request that cannot be decoded."""


_UNDECODABLE = Undecodable()


def tolerant_deserializer(
    deserialize: Callable[[bytes], Any] | None,
) -> Callable[[bytes], Any] | None:
    """Wrap a deserializer to return an `Undecodable` where it would raise."""
    if deserialize is None:
        return None

    def attempt(data: bytes) -> Any:
        try:
            return deserialize(data)
        except (DecodeError, RecursionError, ValueError):
            return _UNDECODABLE

    return attempt


def check_readable(request: Any) -> None:
    """Check that a request could be decoded.

    Raises
    ------
    InvalidArgumentError
        If it could not be decoded.
    """
    if isinstance(request, Undecodable):
        raise InvalidArgumentError(
            "the request cannot be read: it is not a message of this call, holds text that is not "
            "UTF-8, or is nested too deep (at most 100 messages within one another)"
        )


async def readable_requests(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield a stream's requests; raises as `check_readable` at one that could not be read."""
    async for request in requests:
        check_readable(request)
        yield request
