"""Operating-system errors as typed errors for clients."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ktt_core.errors import ResourceExhaustedError, UnavailableError, is_disk_full

__all__ = ["typed_os_errors"]


@contextlib.contextmanager
def typed_os_errors(what: str) -> Iterator[None]:
    """Turn an OSError of the body into a typed error.

    Parameters
    ----------
    what : str
        Consequence: "the upload cannot be kept".

    Raises
    ------
    ResourceExhaustedError
        If the disk is full.
    UnavailableError
        For other errors. The server's paths are not shown.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise ResourceExhaustedError(
                f"{what}: the server's disk is full; free space there and try again"
            ) from error
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise UnavailableError(f"{what}: {reason}, on the server") from error
