"""What the system refuses, as errors that a client can act on."""

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
        What cannot be done then: "the upload cannot be kept".

    Raises
    ------
    ResourceExhaustedError
        If the disk is full.
    UnavailableError
        If the system refuses for another reason. No path is shown: it is the server's.
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
