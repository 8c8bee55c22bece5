"""Names that become folders, validated by one strict pattern before use in a path."""

from __future__ import annotations

import re

from ktt_core.errors import InvalidArgumentError

__all__ = ["NAME_PATTERN", "check_name"]

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

# Device names that Windows reserves in every folder, excluded for workspaces on network shares.
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)


def check_name(name: str, what: str) -> str:
    """Return `name` if it may become a file name, else raise.

    Parameters
    ----------
    name : str
        The name of a dataset, model or job.
    what : str
        What is named, for the message ("dataset", "model").

    Raises
    ------
    InvalidArgumentError
        If the name does not match `NAME_PATTERN` or is a reserved device name.
    """
    if not isinstance(name, str) or NAME_PATTERN.fullmatch(name) is None:
        shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "..."
        raise InvalidArgumentError(
            f"{shown} is not a valid {what} name: use 1 to 63 letters, digits, '_' or '-', "
            "beginning with a letter or a digit"
        )
    if name.lower() in _RESERVED:
        raise InvalidArgumentError(
            f"{name!r} is not a valid {what} name: some systems reserve it for a device"
        )
    return name
