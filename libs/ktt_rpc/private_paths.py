"""Removal of the server's paths from texts for clients."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["PrivatePaths"]


class PrivatePaths:
    """Removes the paths of some folders from texts for clients.

    Paths below such a folder are shown relative to it.

    Parameters
    ----------
    folders : iterable of Path
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        shown = {form for folder in folders for form in (os.path.abspath(folder), _real(folder))}
        # The root directory is not private.
        places = sorted(shown - {os.sep}, key=len, reverse=True)
        self._pattern = (
            re.compile(rf"(?:{'|'.join(map(re.escape, places))})(?:(/)|(?![\w.-]))")
            if places
            else None
        )

    def hide(self, text: str) -> str:
        """Return a text as clients may see it."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: "" if found[1] else "the workspace", text)


def _real(folder: Path) -> str:
    return os.path.realpath(folder)
