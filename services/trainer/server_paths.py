"""Files on the server that a client may name: those under folders the operator has allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ktt_core.errors import InvalidArgumentError, PermissionDeniedError

__all__ = ["AllowedRoots"]

_MAX_LENGTH = 4096


class AllowedRoots:
    """The folders below which clients may name files.

    Parameters
    ----------
    roots : iterable of Path
        None: no file may be named.

    Raises
    ------
    InvalidArgumentError
        If one of them is no folder.
    """

    def __init__(self, roots: Iterable[Path] = ()) -> None:
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        for root in self._roots:
            if not root.is_dir():
                raise InvalidArgumentError(f"the allowed root {root} is no folder")

    def holds(self, real: Path) -> bool:
        """Say whether a path without links is under an allowed folder."""
        return any(root in real.parents for root in self._roots)

    def resolve(self, path: str, field: str = "server_path") -> Path:
        """Return where a named file really lies, if that is allowed; it need not exist.

        The answer to a path outside of the allowed folders is the same whether there is such a
        file or not.

        Raises
        ------
        InvalidArgumentError
            If it is no absolute path.
        PermissionDeniedError
            If it, with every link in it followed, is not under an allowed folder.
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
