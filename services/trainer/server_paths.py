"""Access rules for the server's files that clients name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ktt_core.errors import InvalidArgumentError, PermissionDeniedError

__all__ = ["AllowedRoots"]

_MAX_LENGTH = 4096


class AllowedRoots:
    """Folders below which clients may name files.

    Parameters
    ----------
    roots : iterable of Path
        Empty: no file may be named.

    Raises
    ------
    InvalidArgumentError
        If one of them is not a folder.
    """

    def __init__(self, roots: Iterable[Path] = ()) -> None:
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        for root in self._roots:
            if not root.is_dir():
                raise InvalidArgumentError(f"the allowed root {root} is not a folder")

    def holds(self, real: Path) -> bool:
        """Return whether a path without links is under an allowed folder."""
        return any(root in real.parents for root in self._roots)

    def resolve(self, path: str, field: str = "server_path") -> Path:
        """Return the resolved path of a named file, if that is allowed; it need not exist.

        The error for a path outside of the allowed folders does not reveal whether the file exists.

        Raises
        ------
        InvalidArgumentError
            If it is not an absolute path.
        PermissionDeniedError
            If it is not under an allowed folder, with all links resolved.
        """
        if not path or len(path) > _MAX_LENGTH or "\0" in path or not os.path.isabs(path):
            raise InvalidArgumentError(
                f"{path[:80]!r} is not the absolute path of a file on the server", field=field
            )
        if not self._roots:
            raise PermissionDeniedError(
                "this server takes no paths of its own files: upload the file, or have the server "
                "started with --allowed-root FOLDER"
            )
        real = Path(os.path.realpath(path))
        if not self.holds(real):
            raise PermissionDeniedError(
                f"{path!r} is not under a folder that this server allows (--allowed-root): "
                "upload the file instead"
            )
        return real
