"""Page tokens, each valid for one call and its filters.

A list call reads cursor and size from the request, and creates the next token::

    cursor = page_cursor(request)
    size = page_size(request)
    jobs, next_cursor = service.list(limit=size, after=cursor, ...)
    response.next_page_token = next_page_token(request, next_cursor)

The token holds the cursor and a digest of the request's type and of all its fields except
``page_size`` and ``page_token``, so that it is refused by other calls and with other filters. It is
neither secret nor a permission.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Protocol, cast

from google.protobuf.message import Message

from ktt_core.errors import InvalidArgumentError

__all__ = ["DEFAULT_PAGE_SIZE", "MAX_PAGE_SIZE", "next_page_token", "page_cursor", "page_size"]

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
_DIGEST_BYTES = 12
_LONGEST_TOKEN = 2048


class _Page(Protocol):
    page_size: int
    page_token: str


def page_size(request: Message) -> int:
    """Return the requested number of entries.

    0 stands for `DEFAULT_PAGE_SIZE`; more than `MAX_PAGE_SIZE` gives `MAX_PAGE_SIZE` (AIP-158).

    Raises
    ------
    InvalidArgumentError
        If ``page_size`` is negative.
    """
    size = cast(_Page, request).page_size
    if size < 0:
        raise InvalidArgumentError(
            f"page_size {size}: give the number of entries per page, or 0 for {DEFAULT_PAGE_SIZE}",
            field="page_size",
        )
    return min(size, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE


def page_cursor(request: Message) -> str | None:
    """Return the cursor in the request's ``page_token``, None on the first page.

    Raises
    ------
    InvalidArgumentError
        If the token is damaged, or belongs to another call or other filters.
    """
    token = cast(_Page, request).page_token
    if not token:
        return None
    if len(token) > _LONGEST_TOKEN:
        raise _refused("is longer than any token of this service")
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        cursor = data[_DIGEST_BYTES:].decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _refused("is damaged") from error
    # Compared as text: several texts decode to the same bytes.
    if token != next_page_token(request, cursor):
        raise _refused("is damaged, or belongs to another call or to other filters")
    return cursor


def next_page_token(request: Message, cursor: str | None) -> str:
    """Return the ``next_page_token`` of a response; empty if there is no further page."""
    if cursor is None:
        return ""
    return base64.b64encode(_digest(request, cursor) + cursor.encode(), altchars=b"-_").decode()


def _digest(request: Message, cursor: str) -> bytes:
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    filters.DiscardUnknownFields()
    digest = hashlib.sha256(request.DESCRIPTOR.full_name.encode())
    for part in (filters.SerializeToString(deterministic=True), cursor.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()[:_DIGEST_BYTES]


def _refused(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"page_token: the token {why}; give the next_page_token of the page before, with the same "
        "filters, or none to begin again",
        field="page_token",
    )
